"""One node of a Redis Cluster: a store of which some replies are redirections to another node."""

import asyncio
from asyncio import Future
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol, cast

from redis.asyncio import Redis
from redis.exceptions import (
    AskError,
    ClusterDownError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)

from gateway.core.errors import StoreUnavailable
from gateway.core.ports import Script
from gateway.store.batch import Batch, Call, Pair
from gateway.store.confirm import Confirmation, ConfirmingBatch
from gateway.store.connect import address_of
from gateway.store.line import DEFAULTS, LineOptions
from gateway.store.packing import Command
from gateway.store.redis import RedisStore
from gateway.store.server import StoreOptions
from gateway.store.slots import NodeAddress, SlotRange, is_slot_map, ranges_of
from gateway.util.call_watch import UNWATCHED, CallWatch

REDIRECTIONS = (AskError, TryAgainError)
"""MOVED is one of them: its class is derived from that of ASK."""

_NOT_SERVING = (ClusterDownError, ReadOnlyError)
"""Replies of a node that may not be the one to ask any more."""


class Receiver(Protocol):
    """What gets the value of a key: a future, or half of one."""

    def done(self) -> bool:
        """Whether it needs no value any more."""

    def set_result(self, value: bytes | None, /) -> object:
        """Take the value."""

    def set_exception(self, error: Exception, /) -> object:
        """Take what came instead."""


class NodeRead(NamedTuple):
    """A key to read, and what gets its value."""

    name: bytes
    future: Receiver


class PairedReads:
    """Two reads, of one node or of two, for one future."""

    __slots__ = ("_first", "_is_half", "_second", "future")

    def __init__(self, future: Future[Pair]) -> None:
        self.future = future
        self._first: bytes | None = None
        self._second: bytes | None = None
        self._is_half = False

    def first(self, value: bytes | None) -> None:
        """Take the value of the first key."""
        self._first = value
        self._end()

    def second(self, value: bytes | None) -> None:
        """Take the value of the second key."""
        self._second = value
        self._end()

    def _end(self) -> None:
        if self._is_half:
            self.future.set_result((self._first, self._second))
        self._is_half = True


class Half:
    """One of two reads, in place of a future."""

    __slots__ = ("_future", "set_result")

    def __init__(self, future: Future[Pair], take: Callable[[bytes | None], None]) -> None:
        self._future = future
        self.set_result = take

    def done(self) -> bool:
        return self._future.done()

    def set_exception(self, error: Exception) -> None:
        self._future.set_exception(error)


def halves_of(future: Future[Pair]) -> tuple[Half, Half]:
    """Return what takes the two values of ``future``."""
    pair = PairedReads(future)
    return Half(future, pair.first), Half(future, pair.second)


class Redirection(NamedTuple):
    """What was asked of a node that does not serve it, or not now."""

    node: "NodeStore"
    asked: Call | NodeRead
    error: Exception
    """One of `REDIRECTIONS`: it says which node serves it, or that it is to be asked again."""
    since_s: float
    """When the caller came, or a little earlier, by the loop's time."""


class NodeEvents(Protocol):
    """What a node tells the store of the whole cluster."""

    def redirected(self, redirection: "Redirection", /) -> None:
        """Take over what a node does not serve."""

    def failed(self, node: "NodeStore", /) -> None:
        """Hear that ``node`` may not serve its slots any more."""


class NodeBatch(Batch):
    """
    A batch for one node, whose keys are of several slots.

    MGET takes keys of one slot alone, so each key has a GET. What is redirected is handed on, with
    its future: nothing waits for it here any more.
    """

    __slots__ = ("_has_errors", "_node", "since_s")

    def __init__(self, node: "NodeStore") -> None:
        super().__init__()
        self._node = node
        self._has_errors = False
        self.since_s = 0.0
        """When its first caller came, by the loop's time."""

    def read_pair(self, first: bytes, second: bytes, future: Future[Pair]) -> None:
        halves = halves_of(future)
        self.read_for(first, halves[0])
        self.read_for(second, halves[1])

    def read_for(self, key: bytes, target: Receiver) -> None:
        """Have ``target`` take the value of ``key``."""
        self.read(key, cast("Future[bytes | None]", target))  # all that is used of it

    def commands(self) -> list[Command]:
        reads: list[Command] = [("GET", name) for name in self.keys]
        return reads + [call.command for call in self.calls]

    def script_of(self, position: int) -> Script | None:
        position -= len(self.keys)
        return self.calls[position].script if position >= 0 else None

    def check(self, replies: Sequence[Any]) -> bool:
        count = len(self.keys)
        values, others = list(replies[:count]), replies[count:]
        has_errors = any(isinstance(value, Exception) for value in values)
        if has_errors:
            values = [None if isinstance(value, Exception) else value for value in values]
        has_errors |= super().check([values, *others] if count else others)
        self._has_errors |= has_errors
        return has_errors

    def deliver(self, replies: Sequence[Any]) -> None:
        count = len(self.keys)
        values, others = list(replies[:count]), list(replies[count:])
        if self._has_errors:
            others = self._hand_on_calls(others)
            values = self._hand_on_reads(values)
        super().deliver([values, *others] if count else others)

    def _hand_on_calls(self, replies: list[Any]) -> list[Any]:
        """Hand on the commands that were redirected; return the replies to the others."""
        calls, self.calls = self.calls, []
        kept = []
        for call, reply in zip(calls, replies, strict=True):
            if not self._node.redirects(self, call, reply):
                self.calls.append(call)
                kept.append(reply)
        return kept

    def _hand_on_reads(self, values: list[Any]) -> list[Any]:
        """Hand on the reads that were redirected; return the values, None in place of errors."""
        names = list(self.keys)
        singles, self.singles = self.singles, []
        for future, at in singles:
            if not isinstance(error := values[at], Exception) or _is_no_string(error):
                self.singles.append((future, at))
            elif not self._node.redirects(self, NodeRead(names[at], future), error):
                _fail(future, error)
        return [None if isinstance(value, Exception) else value for value in values]


class NodeStore(RedisStore):
    """A `RedisStore` on one node, which hands on what it does not serve."""

    def __init__(
        self,
        address: NodeAddress,
        client: Redis,
        options: StoreOptions,
        events: NodeEvents,
        on_wrong_reply: Callable[[], object] = lambda: None,
        watch: CallWatch = UNWATCHED,
        *,
        lines: LineOptions = DEFAULTS,
    ) -> None:
        super().__init__(
            client,
            options.prefix,
            options.timeout_s,
            on_wrong_reply=on_wrong_reply,
            address=address_of(options.url),
            watch=watch,
            lines=lines,
            in_flight=options.connections,
            batch=(
                partial(ConfirmedNodeBatch, self, options.confirm)
                if options.confirm
                else partial(NodeBatch, self)
            ),
        )
        self.address = address
        self._events = events

    @property
    def is_well(self) -> bool:
        """Whether its last exchange succeeded, or there was none."""
        return self._breaker.is_closed

    def read(self, name: bytes, target: Receiver) -> None:
        """Read a key by its full name. Raises `StoreUnavailable`, as `send` does."""
        cast("NodeBatch", self._admit()).read_for(name, target)

    def send(self, *calls: Call) -> None:
        """Send commands, one right after the other."""
        self._admit().calls += calls

    async def slot_map(self) -> list[SlotRange]:
        """Ask which node serves which slots. Raises `StoreUnavailable`."""
        reply = await self._call(("CLUSTER", "SLOTS"), is_slot_map)
        return ranges_of(reply, self.address)

    def redirects(self, batch: NodeBatch, asked: Call | NodeRead, reply: object) -> bool:
        """Hand on what was ``asked`` if the ``reply`` is a redirection; return whether it is."""
        if isinstance(reply, REDIRECTIONS):
            self._events.redirected(Redirection(self, asked, reply, batch.since_s))
            return True
        if isinstance(reply, _NOT_SERVING):
            self._events.failed(self)
        return False

    def _open(self, batch: Batch) -> None:
        cast("NodeBatch", batch).since_s = asyncio.get_running_loop().time()
        super()._open(batch)

    def _failed(self, error: Exception) -> None:
        super()._failed(error)
        self._events.failed(self)


class ConfirmedNodeBatch(ConfirmingBatch, NodeBatch):
    """A batch for one node, whose replicas confirm what its scripts write."""

    __slots__ = ("confirm",)

    def __init__(self, node: NodeStore, confirm: Confirmation) -> None:
        super().__init__(node)
        self.confirm = confirm


def _is_no_string(error: Exception) -> bool:
    """Whether a key holds no string: then it has no value, as for MGET."""
    return type(error) is ResponseError and str(error).startswith("WRONGTYPE")


def _fail(target: Receiver, error: Exception) -> None:
    if not target.done():
        target.set_exception(StoreUnavailable(type(error).__name__))
