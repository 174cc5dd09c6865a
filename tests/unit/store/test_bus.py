"""Telling all gateways what to forget."""

from gateway.core.invalidation import InvalidationKind
from gateway.store.bus import StoreBus
from tests.fakes.memory import FakeClock, MemoryStore


async def test_who_listens_here_is_told_at_once() -> None:
    """And the others by the store."""
    store, heard = MemoryStore(FakeClock()), list[str]()
    bus = StoreBus(store)
    bus.on(InvalidationKind.USER, heard.append)
    await bus.publish(InvalidationKind.USER, "did:ethr:0x1")
    await bus.publish(InvalidationKind.ROLES, "did:ethr:0x2")
    assert ["did:ethr:0x1"] == heard
    assert [("invalidate", b"user did:ethr:0x1"), ("invalidate", b"roles did:ethr:0x2")] == (
        store.published
    )


async def test_without_the_store_those_here_are_told() -> None:
    """What cannot be told to others is forgotten there a moment later, by itself."""
    store, heard = MemoryStore(FakeClock()), list[str]()
    store.is_down = True
    bus = StoreBus(store)
    bus.on(InvalidationKind.USER, heard.append)
    await bus.publish(InvalidationKind.USER, "a")
    assert ["a"] == heard


async def test_who_has_left_hears_nothing() -> None:
    """A config that was replaced keeps no memory alive."""
    heard = list[str]()
    bus = StoreBus(MemoryStore(FakeClock()))
    leave = bus.on(InvalidationKind.SESSION, heard.append)
    leave()
    await bus.publish(InvalidationKind.SESSION, "a")
    assert [] == heard


async def test_memories_are_told_when_messages_may_have_been_missed() -> None:
    """Until they leave; one that fails keeps no other from hearing."""
    told = list[str]()
    bus = StoreBus(MemoryStore(FakeClock()))
    bus.on_missed(lambda: 1 / 0)
    leave = bus.on_missed(lambda: told.append("all"))
    bus.subscribed()
    leave()
    bus.subscribed()
    assert ["all"] == told
