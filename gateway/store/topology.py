"""Which node of a Redis Cluster serves each slot, and the stores on these nodes."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from math import inf
from random import shuffle

from gateway.core.errors import StoreUnavailable
from gateway.store.node import NodeStore
from gateway.store.slots import SLOTS, NodeAddress, SlotRange, covered

REFRESH_EVERY_S = 0.1
"""Least time between two questions which node serves which slots."""

_log = logging.getLogger(__name__)


class Topology:
    """
    Asks a node which node serves each slot: at first use, and whenever that may have changed.

    Nodes that answered last are asked before those that failed. One answer is enough where it
    covers all slots; else all nodes are asked, and the answer that covers most slots counts: a node
    that was removed from the cluster knows of no other.
    """

    def __init__(
        self, seeds: Sequence[NodeAddress], open_node: Callable[[NodeAddress], NodeStore]
    ) -> None:
        """``seeds`` are asked first; nothing is sent before `known`."""
        self._seeds = seeds
        self._open_node = open_node
        self.nodes: list[NodeStore | None] = [None] * SLOTS
        """The primary of each slot."""
        self._primaries: list[NodeStore] = []
        """Each of them once."""
        self.is_known = False
        """Whether a node has answered."""
        self._opened: dict[NodeAddress, NodeStore] = {}
        self._refresh: asyncio.Task[None] | None = None
        self._refreshed_s = -inf
        """When the last answer, or none, was there."""
        self._timer: asyncio.TimerHandle | None = None
        self._retiring: set[asyncio.Task[None]] = set()
        self._is_closed = False

    def node_at(self, address: NodeAddress) -> NodeStore:
        """Return the store on one node."""
        node = self._opened.get(address)
        if node is None:
            node = self._opened[address] = self._open_node(address)
        return node

    def primaries(self) -> list[NodeStore]:
        """Return the nodes that serve slots, those that answered last before the others."""
        return sorted(self._primaries, key=lambda node: not node.is_well)

    def moved(self, slot: int, address: NodeAddress) -> None:
        """Note that a node has named another one for ``slot``."""
        if not self._is_closed and 0 <= slot < SLOTS:
            self.nodes[slot] = node = self.node_at(address)
            if node not in self._primaries:
                self._primaries.append(node)
            self.refresh_soon()

    def refresh_soon(self) -> None:
        """Ask again, unless that is under way; at a bounded rate."""
        if self._is_closed or self._refresh is not None or self._timer is not None:
            return
        loop = asyncio.get_running_loop()
        due_s = self._refreshed_s + REFRESH_EVERY_S
        if due_s <= loop.time():
            self._start()
        else:
            self._timer = loop.call_at(due_s, self._start)

    async def known(self) -> None:
        """Wait until a node has answered. Raises `StoreUnavailable` where none does."""
        if not self.is_known:
            self.refresh_soon()
            if self._refresh is None:
                raise StoreUnavailable("failed a moment ago")
            await asyncio.wait([self._refresh])
        if not self.is_known:
            raise StoreUnavailable("no node answers")

    async def aclose(self) -> None:
        """Close the stores on all nodes."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._refresh is not None:
            self._refresh.cancel()
            await asyncio.wait([self._refresh])
        await asyncio.gather(*(node.aclose() for node in self._opened.values()), *self._retiring)

    def _start(self) -> None:
        self._timer = None
        self._refresh = asyncio.get_running_loop().create_task(self._ask_and_apply())
        self._refresh.add_done_callback(self._ended)

    def _ended(self, _: object) -> None:
        self._refresh, self._refreshed_s = None, asyncio.get_running_loop().time()

    async def _ask_and_apply(self) -> None:
        ranges = await self._ask()
        if ranges:
            self._apply(ranges)

    async def _ask(self) -> list[SlotRange]:
        """Return the first answer that covers all slots, else the one that covers most."""
        best: list[SlotRange] = []
        for node in self._to_ask():
            try:
                ranges = await node.slot_map()
            except StoreUnavailable:
                continue
            if covered(ranges) > covered(best):
                best = ranges
            if covered(best) == SLOTS:
                break
        return best

    def _to_ask(self) -> list[NodeStore]:
        """Return all nodes in the order in which they are asked: not one of them always first."""
        nodes = list({*self.primaries(), *map(self.node_at, self._seeds)})
        shuffle(nodes)
        return sorted(nodes, key=lambda node: not node.is_well)

    def _apply(self, ranges: Sequence[SlotRange]) -> None:
        nodes: list[NodeStore | None] = [None] * SLOTS
        for part in ranges:
            count = part.last - part.first + 1
            nodes[part.first : part.last + 1] = [self.node_at(part.primary)] * count
        primaries = list(dict.fromkeys(self.node_at(part.primary) for part in ranges))
        if self.is_known and set(primaries) != set(self._primaries):
            told = ", ".join(str(node.address) for node in primaries)
            _log.info("the cluster's primaries have changed: %s", told)
        self.nodes, self.is_known, self._primaries = nodes, True, primaries
        self._retire({*(part.primary for part in ranges), *self._seeds})

    def _retire(self, kept: set[NodeAddress]) -> None:
        """Close the stores on nodes that are not needed any more."""
        for address in self._opened.keys() - kept:
            closing = asyncio.get_running_loop().create_task(self._opened.pop(address).aclose())
            self._retiring.add(closing)
            closing.add_done_callback(self._retiring.discard)
