"""The bus of cache invalidations."""

from gateway.core.invalidation import InvalidationKind
from gateway.store.bus import StoreBus
from tests.fakes.memory import FakeClock, MemoryStore


async def test_local_subscribers_are_called_at_once() -> None:
    """Other gateways are told by the store."""
    store, heard = MemoryStore(FakeClock()), list[str]()
    bus = StoreBus(store)
    bus.on(InvalidationKind.USER, heard.append)
    await bus.publish(InvalidationKind.USER, "did:ethr:0x1")
    await bus.publish(InvalidationKind.ROLES, "did:ethr:0x2")
    assert ["did:ethr:0x1"] == heard
    assert [("invalidate", b"user did:ethr:0x1"), ("invalidate", b"roles did:ethr:0x2")] == (
        store.published
    )


async def test_local_subscribers_are_called_without_the_store() -> None:
    """Caches of other gateways expire a moment later."""
    store, heard = MemoryStore(FakeClock()), list[str]()
    store.is_down = True
    bus = StoreBus(store)
    bus.on(InvalidationKind.USER, heard.append)
    await bus.publish(InvalidationKind.USER, "a")
    assert ["a"] == heard


async def test_an_unsubscribed_cache_is_not_called() -> None:
    """A config that was replaced keeps no cache alive."""
    heard = list[str]()
    bus = StoreBus(MemoryStore(FakeClock()))
    leave = bus.on(InvalidationKind.SESSION, heard.append)
    leave()
    await bus.publish(InvalidationKind.SESSION, "a")
    assert [] == heard


async def test_caches_are_told_of_missed_messages() -> None:
    """Until they unsubscribe; one that fails does not stop the others."""
    told = list[str]()
    bus = StoreBus(MemoryStore(FakeClock()))
    bus.on_missed(lambda: 1 / 0)
    leave = bus.on_missed(lambda: told.append("all"))
    bus.subscribed()
    leave()
    bus.subscribed()
    assert ["all"] == told
