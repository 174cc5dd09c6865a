"""Batches of commands: what several callers ask of the store at one time."""

from asyncio import Future
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from gateway.core.errors import StoreUnavailable
from gateway.core.ports import Script
from gateway.core.replies import Shape, are_values
from gateway.store.armour import FIRST_BYTE, bare
from gateway.store.packing import Command

Pair = tuple[bytes | None, bytes | None]
"""The values of two keys."""


class WrongReply(Exception):
    """A reply that is not one of the command that was sent; others may be mixed up, too."""


class Call(NamedTuple):
    """A command other than a read, the future of its reply, and what that may be."""

    command: Command
    future: Future[Any]
    accepts: Shape
    script: Script | None = None


class Cancellable(Protocol):
    """An exchange that is under way: a task, or a wire."""

    def cancel(self) -> object:
        """End it."""


class Batch:
    """
    Collects reads by key, each key once, and other commands in order.

    A caller that is cancelled cancels its future alone: its reply is read like any other, and
    dropped. (In CVE-2023-28858, the next caller got the reply of a cancelled command.)
    """

    __slots__ = (
        "calls",
        "exchange",
        "is_delivered",
        "is_interrupted",
        "keys",
        "pairs",
        "sent_s",
        "singles",
    )

    def __init__(self) -> None:
        self.keys: dict[bytes, int] = {}
        """The keys to read, and their places in the MGET."""
        self.singles: list[tuple[Future[bytes | None], int]] = []
        """The reads of one key: futures, with the place of the key."""
        self.pairs: list[tuple[Future[Pair], int, int]] = []
        """The reads of two keys for one caller."""
        self.calls: list[Call] = []
        self.is_delivered = False
        self.exchange: Cancellable | None = None
        """What carries out the exchange of this batch while that is under way."""
        self.is_interrupted = False
        self.sent_s = 0.0
        """When it was sent, in the time of `time.monotonic`."""

    def __bool__(self) -> bool:
        return bool(self.keys or self.calls)

    def read(self, key: bytes, future: Future[bytes | None]) -> None:
        """Have ``future`` resolved by the value of ``key``."""
        keys = self.keys
        self.singles.append((future, keys.setdefault(key, len(keys))))

    def read_pair(self, first: bytes, second: bytes, future: Future[Pair]) -> None:
        """Have ``future`` resolved by the values of both keys."""
        keys = self.keys
        at = keys.setdefault(first, len(keys))
        self.pairs.append((future, at, keys.setdefault(second, len(keys))))

    def commands(self) -> list[Command]:
        """
        Return one MGET for all reads, then the other commands.

        A single read is an MGET too. For a key that holds no string, GET fails and MGET replies
        nil, and a caller's result must not depend on other callers.
        """
        reads: list[Command] = [("MGET", *self.keys)] if self.keys else []
        return reads + [call.command for call in self.calls]

    def script_of(self, position: int) -> Script | None:
        """Return the script that the command at ``position`` of `commands` runs."""
        position -= bool(self.keys)
        return self.calls[position].script if position >= 0 else None

    def check(self, replies: Sequence[Any]) -> bool:
        """
        Return whether any of ``replies`` is an error, which is a reply to any command.

        Raises `WrongReply` unless each of the others is one that its command can have. Replies are
        checked before any of them is delivered: where one is wrong, the others may be those of
        other commands too.
        """
        others, has_errors = iter(replies), False
        if self.keys:
            values = next(others)
            if isinstance(values, Exception):
                has_errors = True
            elif not are_values(len(self.keys), values):
                raise WrongReply("MGET")
        for call, reply in zip(self.calls, others, strict=True):
            if isinstance(reply, Exception):
                has_errors = True
            elif not call.accepts(reply):
                raise WrongReply(str(call.script.name if call.script else call.command[0]))
        return has_errors

    def deliver(self, replies: Sequence[Any]) -> None:
        """
        Resolve every future by its part of ``replies``, which `check` has passed.

        An error in place of a reply affects only the callers of that command. Values are freed of
        their armour: another gateway may have written them over the REST API.
        """
        others = iter(replies)
        if self.keys:
            self._deliver_reads(next(others))
        for call, reply in zip(self.calls, others, strict=True):
            _resolve(call.future, reply)
        self.is_delivered = True

    def _deliver_reads(self, values: Sequence[bytes | None] | Exception) -> None:
        if isinstance(values, Exception):
            for future in self._readers():
                _resolve(future, values)
            return
        first = FIRST_BYTE  # most values are looked at no further
        values = [bare(value) if value and value[0] == first else value for value in values]
        for single, at in self.singles:
            if not single.done():
                single.set_result(values[at])
        for pair, at, other_at in self.pairs:
            if not pair.done():
                pair.set_result((values[at], values[other_at]))

    def interrupt(self) -> None:
        """End the exchange that is under way."""
        if self.exchange is not None:
            self.is_interrupted = True
            self.exchange.cancel()

    def close(self, reason: str) -> None:
        """Leave no future: those that are still unresolved fail."""
        self.exchange = None
        if not self.is_delivered:
            self.fail(reason)

    def fail(self, reason: str) -> None:
        """Fail all unresolved futures with `StoreUnavailable`."""
        for future in self._futures():
            if not future.done():
                future.set_exception(StoreUnavailable(reason))

    def _readers(self) -> Iterator[Future[Any]]:
        yield from (future for future, _ in self.singles)
        yield from (future for future, *_ in self.pairs)

    def _futures(self) -> Iterator[Future[Any]]:
        yield from self._readers()
        yield from (call.future for call in self.calls)


def _resolve(future: Future[Any], reply: object) -> None:
    if future.done():
        return
    if isinstance(reply, StoreUnavailable):
        future.set_exception(reply)
    elif isinstance(reply, Exception):
        future.set_exception(StoreUnavailable(type(reply).__name__))
    elif type(reply) is bytes:
        future.set_result(bare(reply))
    elif type(reply) is list and bytes in map(type, reply):
        future.set_result([bare(each) if type(each) is bytes else each for each in reply])
    else:
        future.set_result(reply)
