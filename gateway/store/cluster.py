"""The store over a Redis Cluster: each command goes to the node that serves its slot."""

import asyncio
from asyncio import Future
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, NamedTuple, TypeVar, cast

from redis.exceptions import MovedError, TryAgainError

from gateway.core.errors import StoreUnavailable
from gateway.core.ports import Script, Store, TaggedKeys
from gateway.core.replies import is_ok, is_text_or_nil
from gateway.store.batch import Call, Pair
from gateway.store.node import NodeRead, NodeStore, Receiver, Redirection, halves_of
from gateway.store.packing import in_full
from gateway.store.slots import NodeAddress, is_host, slot_of
from gateway.store.topology import Topology

MAX_REDIRECTIONS = 5
"""Of one command: more than two mean that nodes disagree."""

TRY_AGAIN_S = 0.02
"""Pause before a command is repeated whose keys are on their way between two nodes."""

_UNCOVERED = "no node serves the slot"

T = TypeVar("T")


class _Redirected(NamedTuple):
    """What was redirected already."""

    times: int
    timer: asyncio.TimerHandle
    """Ends the wait of the caller."""


class ClusterStore:
    """
    The port `Store` over one `NodeStore` for each primary, which batches, and has its own breaker.

    MOVED and ASK are followed within the time-out of the caller, and TRYAGAIN is repeated. A node
    that fails, or may have lost its slots, makes the topology be asked for again: until its replica
    has taken over, the callers of its slots alone are refused.
    """

    def __init__(
        self,
        seeds: Sequence[NodeAddress],
        open_node: Callable[["ClusterStore", NodeAddress], NodeStore],
        prefix: str,
        timeout_s: float,
    ) -> None:
        """``open_node`` opens the store on one node; its events come here."""
        self._topology = Topology(seeds, partial(open_node, self))
        self._prefix = prefix
        self._timeout_s = timeout_s
        self._redirected: dict[Receiver, _Redirected] = {}
        self._waiting: set[asyncio.Task[Any]] = set()
        """Callers that came before it was known which node serves what."""
        self._is_closed = False

    def slot_of(self, key: str) -> int:
        return slot_of((self._prefix + key).encode())

    def get(self, key: str) -> Awaitable[bytes | None]:
        try:
            name = (self._prefix + key).encode()
            node = self._topology.nodes[slot := slot_of(name)]
            if node is None:
                return self._later(slot, lambda: self.get(key))
            future: Future[bytes | None] = asyncio.get_running_loop().create_future()
            node.read(name, future)
        except (StoreUnavailable, UnicodeEncodeError) as error:
            return _failed(error)
        return future

    def get_pair(self, first: str, second: str) -> Awaitable[Pair]:
        """Get two values, which may be on two nodes: one of them may be older than the other."""
        try:
            names = (self._prefix + first).encode(), (self._prefix + second).encode()
            slots = slot_of(names[0]), slot_of(names[1])
            nodes = [self._topology.nodes[slot] for slot in slots]
            if None in nodes:
                missing = slots[nodes.index(None)]
                return self._later(missing, lambda: self.get_pair(first, second))
        except (StoreUnavailable, UnicodeEncodeError) as error:
            return _failed(error)
        future: Future[Pair] = asyncio.get_running_loop().create_future()
        try:
            for node, name, half in zip(nodes, names, halves_of(future), strict=True):
                cast("NodeStore", node).read(name, half)
        except StoreUnavailable as error:
            future.set_exception(error)  # so that the other node has nothing left to say
        return future

    async def set(self, key: str, value: bytes, *, expires_at_ms: int) -> None:
        node = await self._node_of(key)
        await node.set(key, value, expires_at_ms=expires_at_ms)

    async def add(self, key: str, value: bytes, *, expires_at_ms: int) -> bool:
        node = await self._node_of(key)
        return await node.add(key, value, expires_at_ms=expires_at_ms)

    async def delete(self, key: str) -> bool:
        return await (await self._node_of(key)).delete(key)

    def run(
        self, script: Script, keys: Sequence[str], args: Sequence[str | int | bytes]
    ) -> Awaitable[object]:
        """Run a script, all of whose ``keys`` must have one slot (see `slot_of`)."""
        try:
            slot = self.slot_of(_first_of(keys))
            node = self._topology.nodes[slot]
            if node is None:
                return self._later(slot, lambda: self.run(script, keys, args))
            return node.run(script, keys, args)
        except (StoreUnavailable, UnicodeEncodeError) as error:
            return _failed(error)

    async def publish(self, channel: str, message: bytes) -> None:
        """Publish on any node: nodes pass messages on to all others."""
        await self._known()
        *others, last = self._topology.primaries()
        for node in others:
            try:
                return await node.publish(channel, message)
            except StoreUnavailable:
                continue
        return await last.publish(channel, message)

    async def primaries(self) -> list[NodeAddress]:
        """Return the nodes that serve slots. Raises `StoreUnavailable` where no node answers."""
        await self._known()
        return [node.address for node in self._topology.primaries()]

    def primary_of(self, slot: int) -> NodeAddress:
        """Return the node that serves ``slot``. Raises `StoreUnavailable` where none does."""
        return self._serving(slot).address

    async def ping(self) -> None:
        """Check that all slots are served, and that each of their nodes answers."""
        await self._known()
        if None in self._topology.nodes:
            self._topology.refresh_soon()
            raise StoreUnavailable(_UNCOVERED)
        await asyncio.gather(*(node.ping() for node in self._topology.primaries()))

    async def aclose(self) -> None:
        """Refuse new callers, wait for those under way (until the deadline at most), disconnect."""
        self._is_closed = True
        if self._waiting:
            await asyncio.wait(self._waiting)
        await self._topology.aclose()
        for target, redirected in self._redirected.items():
            redirected.timer.cancel()
            _refuse(target, "closed")
        self._redirected.clear()

    # --- before the topology is known -----------------------------------------------------------

    async def _known(self) -> None:
        """Wait until the topology is known. Raises `StoreUnavailable` where no node answers."""
        if self._is_closed:
            raise StoreUnavailable("closed")
        async with self._deadline():
            await self._topology.known()

    async def _node_of(self, key: str) -> NodeStore:
        """Return the node that serves ``key``. Raises `StoreUnavailable` where none does."""
        slot = self.slot_of(key)
        if self._topology.nodes[slot] is None:
            await self._known()
        return self._serving(slot)

    def _serving(self, slot: int) -> NodeStore:
        node = self._topology.nodes[slot]
        if node is None:
            self._topology.refresh_soon()
            raise StoreUnavailable(_UNCOVERED)
        return node

    def _later(self, slot: int, ask: Callable[[], Awaitable[T]]) -> Awaitable[T]:
        """Ask when it is known which node serves ``slot``."""
        if self._is_closed:
            raise StoreUnavailable("closed")

        async def asked() -> T:
            async with self._deadline():
                await self._topology.known()
                self._serving(slot)
                return await ask()

        task = asyncio.ensure_future(asked())
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)
        return task

    @asynccontextmanager
    async def _deadline(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._timeout_s):
                yield
        except TimeoutError:
            raise StoreUnavailable("TimeoutError") from None

    # --- events of nodes ------------------------------------------------------------------------

    def failed(self, node: NodeStore) -> None:
        """Ask whether another node serves the slots of ``node`` now."""
        del node
        self._topology.refresh_soon()

    def redirected(self, redirection: Redirection) -> None:
        """Ask the node that was named, unless the caller's time is over."""
        target, error = redirection.asked.future, redirection.error
        if target.done():
            return
        try:
            if self._may_go_on(target, redirection.since_s):
                self._follow(redirection)
            else:
                _refuse(target, type(error).__name__)
        except Exception as mistake:  # noqa: BLE001 - on any error, the callers must not wait forever
            _refuse(target, type(mistake).__name__)

    def _follow(self, redirection: Redirection) -> None:
        error = redirection.error
        if isinstance(error, TryAgainError):
            again = partial(self._send, redirection.node, redirection.asked)
            asyncio.get_running_loop().call_later(TRY_AGAIN_S, again)
            return
        named = cast("Any", error)  # of redis-py, without types
        host = str(named.host).removeprefix("[").removesuffix("]")
        if not is_host(host):
            _refuse(redirection.asked.future, type(error).__name__)
            return
        address = NodeAddress(host or redirection.node.address.host, named.port)
        node = self._topology.node_at(address)
        if isinstance(error, MovedError):
            self._topology.moved(named.slot_id, address)
            self._send(node, redirection.asked)
        else:
            self._ask(node, redirection.asked)

    def _may_go_on(self, target: Receiver, since_s: float) -> bool:
        """Count a redirection; the first one has the caller's wait ended by a timer."""
        known = self._redirected.get(target)
        if self._is_closed or (known is not None and known.times >= MAX_REDIRECTIONS):
            return False
        if known is None:
            loop = asyncio.get_running_loop()
            timer = loop.call_at(since_s + self._timeout_s, self._expire, target)
            known = _Redirected(0, timer)
        self._redirected[target] = known._replace(times=known.times + 1)
        return True

    def _expire(self, target: Receiver) -> None:
        self._redirected.pop(target, None)
        _refuse(target, "TimeoutError")

    def _send(self, node: NodeStore, asked: Call | NodeRead) -> None:
        try:
            if isinstance(asked, NodeRead):
                node.read(asked.name, asked.future)
            else:
                node.send(asked)
        except StoreUnavailable as error:
            _refuse(asked.future, error.reason)

    def _ask(self, node: NodeStore, asked: Call | NodeRead) -> None:
        """
        Send ASKING before the command, which the node takes for a slot that it is about to get.

        It holds for one command, so a script is sent as a whole: it may not be known there.
        """
        if isinstance(asked, NodeRead):
            future = cast("Future[Any]", asked.future)
            asked = Call(("GET", asked.name), future, is_text_or_nil)
        elif asked.script is not None:
            asked = asked._replace(command=in_full(asked.command, asked.script.source))
        ignored: Future[Any] = asyncio.get_running_loop().create_future()
        ignored.add_done_callback(_retrieve)
        try:
            node.send(Call(("ASKING",), ignored, is_ok), asked)
        except StoreUnavailable as error:
            _refuse(asked.future, error.reason)


def _first_of(keys: Sequence[str]) -> str:
    """Return one key, without making all of them."""
    if isinstance(keys, TaggedKeys):
        names, tags = keys.groups[0]
        return f"{names[0]}{{{tags[0]}}}"
    return keys[0]


def _failed(error: Exception) -> Future[Any]:
    """Return a future that raises ``error`` when it is awaited."""
    future: Future[Any] = asyncio.get_running_loop().create_future()
    future.set_exception(error)
    return future


def _refuse(target: Receiver, reason: str) -> None:
    if not target.done():
        target.set_exception(StoreUnavailable(reason))


def _retrieve(future: Future[Any]) -> None:
    """Look at an outcome that nothing waits for, so that the event loop does not report it."""
    if not future.cancelled():
        future.exception()


_: type[Store] = ClusterStore
