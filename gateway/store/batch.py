"""Batches of commands: what several callers ask of the store at one time."""

from asyncio import Future
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

from gateway.core.errors import StoreUnavailable
from gateway.core.ports import Script

Command = tuple[str | bytes | int, ...]


class Call(NamedTuple):
    """A command other than a read, and the future of its reply."""

    command: Command
    future: Future[Any]
    script: Script | None


class Batch:
    """
    Collects reads by key, each key once, and other commands in order.

    A caller that is cancelled cancels its future alone: its reply is read like any other, and
    dropped. (In CVE-2023-28858, the next caller got the reply of a cancelled command.)
    """

    __slots__ = ("calls", "opened_at_s", "reads")

    def __init__(self) -> None:
        self.reads: dict[bytes, list[Future[bytes | None]]] = {}
        self.calls: list[Call] = []
        self.opened_at_s = 0.0
        """Arrival of the first caller, in the loop's time; the deadline counts from it."""

    def __bool__(self) -> bool:
        return bool(self.reads or self.calls)

    def commands(self) -> list[Command]:
        """
        Return one MGET for all reads, then the other commands.

        A single read is an MGET too. For a key that holds no string, GET fails and MGET replies
        nil, and a caller's result must not depend on other callers.
        """
        reads: list[Command] = [("MGET", *self.reads)] if self.reads else []
        return reads + [call.command for call in self.calls]

    def script_of(self, position: int) -> Script | None:
        """Return the script that the command at ``position`` of `commands` runs."""
        position -= bool(self.reads)
        return self.calls[position].script if position >= 0 else None

    def deliver(self, replies: Sequence[Any]) -> None:
        """
        Resolve every future by its part of ``replies``, which are in the order of `commands`.

        An error in place of a reply affects only the callers of that command.
        """
        others = iter(replies)
        if self.reads:
            self._deliver_reads(next(others))
        for call, reply in zip(self.calls, others, strict=True):
            _resolve(call.future, reply)

    def _deliver_reads(self, values: Sequence[bytes | None] | Exception) -> None:
        if isinstance(values, Exception):
            for future in chain.from_iterable(self.reads.values()):
                _resolve(future, values)
            return
        for waiting, value in zip(self.reads.values(), values, strict=True):
            for future in waiting:
                if not future.done():
                    future.set_result(value)

    def fail(self, reason: str) -> None:
        """Fail all unresolved futures with `StoreUnavailable`."""
        for future in self._futures():
            if not future.done():
                future.set_exception(StoreUnavailable(reason))

    def _futures(self) -> Iterator[Future[Any]]:
        yield from chain.from_iterable(self.reads.values())
        yield from (call.future for call in self.calls)


def _resolve(future: Future[Any], reply: object) -> None:
    if future.done():
        return
    if isinstance(reply, Exception):
        future.set_exception(StoreUnavailable(type(reply).__name__))
    else:
        future.set_result(reply)
