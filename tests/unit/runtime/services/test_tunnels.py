"""Tunnels whose proof is void are ended, while the gateway runs."""

import time
from types import MappingProxyType
from typing import cast

from gateway.core.invalidation import InvalidationKind
from gateway.proxy.tunnel.registry import TunnelRegistry
from gateway.runtime.services.tunnels import watched_tunnels
from gateway.store.bus import StoreBus
from tests.fakes.store import FakeStore

WAYS = MappingProxyType({InvalidationKind.SESSION: "session", InvalidationKind.REVOKED: "issuer"})


class FakeRegistry:
    """Writes down what it is to look at again."""

    def __init__(self) -> None:
        self.diary: list[str] = []

    def recheck_session(self, name: str) -> None:
        self.diary.append(f"session {name}")

    def recheck_issuer(self, name: str) -> None:
        self.diary.append(f"issuer {name}")

    def recheck_all(self) -> None:
        self.diary.append("all")

    async def watch(self, _: object) -> None:
        """Does nothing."""

    async def recheck_pending(self, _: object) -> None:
        """Does nothing."""


async def test_messages_of_the_bus_reach_the_tunnels() -> None:
    """Until the context ends: those that came while none was heard mean all of them."""
    store = FakeStore(time.time)
    bus, registry = StoreBus(store), FakeRegistry()
    async with watched_tunnels(cast("TunnelRegistry", registry), store, bus):
        for kind in WAYS:
            await bus.publish(kind, "ada")
        bus.subscribed()
    await bus.publish(InvalidationKind.SESSION, "bob")
    assert ["session ada", "issuer ada", "all"] == registry.diary
