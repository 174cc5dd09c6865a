"""What several callers ask of the store at one time, as few commands."""

from asyncio import Future
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

from gateway.core.errors import StoreUnavailable
from gateway.core.ports import Script

Command = tuple[str | bytes | int, ...]


class Call(NamedTuple):
    """A command other than a read, and who waits for its reply."""

    command: Command
    answer: Future[Any]
    script: Script | None


class Batch:
    """
    Reads by key, each key once, and other commands in order.

    A caller that gives up cancels its future and nothing else: its reply is read like any other,
    and dropped (the cancelled commands of CVE-2023-28858 left theirs to the next caller).
    """

    __slots__ = ("calls", "opened_at_s", "reads")

    def __init__(self) -> None:
        self.reads: dict[bytes, list[Future[bytes | None]]] = {}
        self.calls: list[Call] = []
        self.opened_at_s = 0.0
        """When its first caller came, in the loop's time: the deadline counts from there."""

    def __bool__(self) -> bool:
        return bool(self.reads or self.calls)

    def commands(self) -> list[Command]:
        """
        One MGET for all reads, then the others.

        A lone read is an MGET too: at a key that holds no string GET fails and MGET says nil, and
        what a caller hears must not depend on who else asks.
        """
        reads: list[Command] = [("MGET", *self.reads)] if self.reads else []
        return reads + [call.command for call in self.calls]

    def script_of(self, position: int) -> Script | None:
        """The script that the command at ``position`` of `commands` runs."""
        position -= bool(self.reads)
        return self.calls[position].script if position >= 0 else None

    def deliver(self, replies: Sequence[Any]) -> None:
        """
        Give every caller its part of ``replies``, which are in the order of `commands`.

        An error in place of a reply is its own callers' alone.
        """
        others = iter(replies)
        if self.reads:
            self._deliver_reads(next(others))
        for call, reply in zip(self.calls, others, strict=True):
            _settle(call.answer, reply)

    def _deliver_reads(self, values: Sequence[bytes | None] | Exception) -> None:
        if isinstance(values, Exception):
            for answer in chain.from_iterable(self.reads.values()):
                _settle(answer, values)
            return
        for waiting, value in zip(self.reads.values(), values, strict=True):
            for answer in waiting:
                if not answer.done():
                    answer.set_result(value)

    def fail(self, reason: str) -> None:
        """Tell everyone who still waits that the store is unavailable."""
        for answer in self._answers():
            if not answer.done():
                answer.set_exception(StoreUnavailable(reason))

    def _answers(self) -> Iterator[Future[Any]]:
        yield from chain.from_iterable(self.reads.values())
        yield from (call.answer for call in self.calls)


def _settle(answer: Future[Any], reply: object) -> None:
    if answer.done():
        return
    if isinstance(reply, Exception):
        answer.set_exception(StoreUnavailable(type(reply).__name__))
    else:
        answer.set_result(reply)
