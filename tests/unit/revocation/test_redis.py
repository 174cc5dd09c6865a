"""Revocation epochs in the store, and their cache."""

import asyncio
from collections.abc import Sequence

import pytest

from gateway.core.errors import StoreUnavailable
from gateway.core.invalidation import InvalidationKind
from gateway.revocation.epoch import key_of
from gateway.revocation.redis import RedisRevocations, epochs_ms
from gateway.store.bus import StoreBus
from tests.fakes.memory import FakeClock
from tests.fakes.store import FakeStore, Word

ADA, BOB = "did:ethr:0xAd", "did:ethr:0xB0b"
KEPT_S, GRACE_S = 3600.0, 30.0
FOREVER_MS = 1 << 53


def epoch_key(issuer: str) -> str:
    return f"revoked:{issuer}"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(clock: FakeClock) -> FakeStore:
    store = FakeStore(clock)

    def revoke(keys: Sequence[str], args: Sequence[Word]) -> bytes:
        epoch = str(args[0]).encode()
        store.values[keys[0]] = epoch, FOREVER_MS
        return epoch

    store.scripts["revoke"] = revoke
    return store


@pytest.fixture
def counted() -> list[str]:
    return []


@pytest.fixture
def bus(store: FakeStore) -> StoreBus:
    return StoreBus(store)


@pytest.fixture
def revocations(
    store: FakeStore, bus: StoreBus, clock: FakeClock, counted: list[str]
) -> RedisRevocations:
    made = RedisRevocations(
        store,
        bus,
        kept_s=KEPT_S,
        grace_s=GRACE_S,
        clock=clock,
        on_revoked=lambda: counted.append("revocations"),
        capacity=2,
    )
    bus.on(InvalidationKind.REVOKED, made.forget)
    bus.on_missed(made.forget_all)
    return made


def put(store: FakeStore, issuer: str, record: bytes) -> None:
    store.values[epoch_key(issuer)] = record, FOREVER_MS


def asked(store: FakeStore) -> int:
    return [command for command, _ in store.asked].count("get")


async def test_an_issuer_that_was_not_revoked_has_no_epoch(revocations: RedisRevocations) -> None:
    """That is known, not unknown."""
    assert await revocations.epoch_ms(ADA) is None


async def test_the_store_is_asked_once_a_second(
    revocations: RedisRevocations, store: FakeStore, clock: FakeClock
) -> None:
    """A clock that was set back does not extend that."""
    put(store, ADA, b"5")
    for after_s, times in ((0, 1), (0.9, 1), (0.2, 2), (-5, 3)):
        clock.now_s += after_s
        assert 5 == await revocations.epoch_ms(ADA)
        assert times == asked(store)


async def test_a_record_that_was_read_just_now_counts(revocations: RedisRevocations) -> None:
    """A cached epoch does not; one that was seen here stays in force if the store loses it."""
    assert await revocations.epoch_ms(ADA) is None

    assert revocations.epoch_in(None, ADA) is None
    assert 5 == revocations.epoch_in(b"5", ADA)
    assert 5 == revocations.epoch_in(None, ADA) == revocations.epoch_in(b"4", ADA)
    assert 6 == revocations.epoch_in(b"6", ADA)
    with pytest.raises(StoreUnavailable):
        revocations.epoch_in(b"six", ADA)


async def test_epochs_of_one_moment_do_not_go_stale_in_one_moment(
    store: FakeStore, bus: StoreBus, clock: FakeClock
) -> None:
    """The store is asked for some of them earlier, and for none later than after a second."""
    revocations = RedisRevocations(store, bus, kept_s=KEPT_S, clock=clock)
    issuers = [f"did:ethr:0x{number}" for number in range(100)]
    for after_s, least, most in ((0, 100, 100), (0.74, 0, 0), (0.13, 40, 60), (0.13, 40, 60)):
        clock.now_s += after_s
        before = asked(store)
        for issuer in issuers:
            await revocations.epoch_ms(issuer)
        assert least <= asked(store) - before <= most


async def test_a_revocation_takes_effect_at_once_and_is_published(
    revocations: RedisRevocations, store: FakeStore, clock: FakeClock, counted: list[str]
) -> None:
    """A cached epoch does not delay it."""
    assert await revocations.epoch_ms(ADA) is None

    epoch_ms = await revocations.revoke(ADA)

    assert int(clock.now_s * 1000) == epoch_ms == await revocations.epoch_ms(ADA)
    assert ("publish", f"invalidate revoked {ADA}") in store.asked
    assert ["revocations"] == counted


@pytest.mark.parametrize("error", [None, StoreUnavailable("down"), RuntimeError("a fault")])
async def test_a_revocation_cleans_up(
    store: FakeStore, bus: StoreBus, clock: FakeClock, error: Exception | None
) -> None:
    """What apps read of the issuer goes; the epoch is set whether or not that works."""
    cleaned: list[str] = []

    async def clean_up(issuer: str) -> None:
        cleaned.append(issuer)
        if error is not None:
            raise error

    made = RedisRevocations(store, bus, kept_s=KEPT_S, clock=clock, clean_up=clean_up)
    if isinstance(error, RuntimeError):
        with pytest.raises(RuntimeError):
            await made.revoke(ADA)
    else:
        await made.revoke(ADA)
    assert [ADA] == cleaned
    assert int(clock() * 1000) == await made.epoch_ms(ADA)


async def test_a_revocation_without_the_store_is_an_error(
    revocations: RedisRevocations, store: FakeStore, counted: list[str]
) -> None:
    """The caller is told that it was not done."""
    store.is_down = True
    with pytest.raises(StoreUnavailable):
        await revocations.revoke(ADA)
    assert [] == counted


async def test_a_malformed_reply_to_a_revocation_is_an_error(
    revocations: RedisRevocations, store: FakeStore
) -> None:
    """Such as that of a proxy in front of the store."""
    store.scripts["revoke"] = lambda _keys, _args: 1
    with pytest.raises(StoreUnavailable):
        await revocations.revoke(ADA)


async def test_an_unreadable_epoch_admits_no_request(
    revocations: RedisRevocations, store: FakeStore
) -> None:
    """It was set to revoke."""
    put(store, ADA, b"tomorrow")
    with pytest.raises(StoreUnavailable, match="cannot be read"):
        await revocations.epoch_ms(ADA)


async def test_cached_epochs_are_used_for_the_grace_period(
    revocations: RedisRevocations, store: FakeStore, clock: FakeClock
) -> None:
    """Afterwards, and for unknown issuers, the epoch is unknown, which is not "not revoked"."""
    put(store, ADA, b"5")
    await revocations.epoch_ms(ADA)
    store.is_down = True
    clock.now_s += GRACE_S - 0.001
    assert 5 == await revocations.epoch_ms(ADA)

    with pytest.raises(StoreUnavailable):
        await revocations.epoch_ms(BOB)
    clock.now_s += 0.001
    with pytest.raises(StoreUnavailable):
        await revocations.epoch_ms(ADA)


async def test_an_invalidation_ends_the_grace_period(
    revocations: RedisRevocations, store: FakeStore
) -> None:
    """The cached epoch is outdated, and the new one is unknown."""
    await revocations.epoch_ms(ADA)
    store.is_down = True
    revocations.forget(ADA)
    with pytest.raises(StoreUnavailable):
        await revocations.epoch_ms(ADA)


async def test_after_missed_messages_epochs_are_looked_up_again(
    revocations: RedisRevocations, store: FakeStore, bus: StoreBus
) -> None:
    """The cached one is used only while the store is unavailable."""
    assert await revocations.epoch_ms(ADA) is None
    put(store, ADA, b"7")
    bus.subscribed()
    store.is_down = True
    assert await revocations.epoch_ms(ADA) is None
    store.is_down = False
    assert 7 == await revocations.epoch_ms(ADA)


@pytest.mark.parametrize("is_all", [True, False])
async def test_a_look_up_during_an_invalidation_is_not_cached(
    revocations: RedisRevocations, store: FakeStore, is_all: bool
) -> None:
    """Its reply may be from before the revocation."""
    store.gate.clear()
    looking_up = asyncio.create_task(revocations.epoch_ms(ADA))
    await asyncio.sleep(0)
    put(store, ADA, b"7")
    revocations.forget_all() if is_all else revocations.forget(ADA)
    store.gate.set()
    assert await looking_up is None

    assert 7 == await revocations.epoch_ms(ADA)


@pytest.mark.parametrize("left", [None, b"4"], ids=["nothing", "an-older-one"])
async def test_an_epoch_that_the_store_has_lost_stays_in_force(
    revocations: RedisRevocations, store: FakeStore, clock: FakeClock, left: bytes | None
) -> None:
    """As after a failover, or a restart without its data."""
    put(store, ADA, b"5")
    assert 5 == await revocations.epoch_ms(ADA)
    del store.values[epoch_key(ADA)]
    if left is not None:
        put(store, ADA, left)
    revocations.forget(ADA)
    assert 5 == await revocations.epoch_ms(ADA)
    revocations.forget_all()
    assert 5 == await revocations.epoch_ms(ADA)
    clock.now_s += 60
    put(store, ADA, b"6")
    assert 6 == await revocations.epoch_ms(ADA)


async def test_an_epoch_set_here_stays_in_force_when_the_store_loses_it(
    revocations: RedisRevocations, store: FakeStore
) -> None:
    """No look-up before the loss is needed."""
    epoch_ms = await revocations.revoke(ADA)
    store.values.clear()

    assert epoch_ms == await revocations.epoch_ms(ADA)


async def test_an_epoch_from_the_future_can_be_deleted(
    revocations: RedisRevocations, store: FakeStore, clock: FakeClock
) -> None:
    """Then only proofs up to now stay revoked, and the issuer can sign in again."""
    ahead_ms = int(clock.now_s * 1000) + 3_600_000
    put(store, ADA, str(ahead_ms).encode())
    assert ahead_ms == await revocations.epoch_ms(ADA)
    del store.values[epoch_key(ADA)]
    revocations.forget(ADA)

    assert int(clock.now_s * 1000) == await revocations.epoch_ms(ADA)


async def test_memory_is_bounded(revocations: RedisRevocations, store: FakeStore) -> None:
    """Every issuer that signs in causes a look-up."""
    for number in range(5):
        put(store, f"did:ethr:0x{number}", b"5")
        await revocations.epoch_ms(f"did:ethr:0x{number}")
    assert [2, 2] == [len(revocations._known), len(revocations._latest_ms)]


async def test_many_epochs_are_looked_up_together(store: FakeStore) -> None:
    """Only revoked issuers are in the result."""
    put(store, ADA, b"5")
    put(store, "unreadable", b"?")
    assert {ADA: 5} == await epochs_ms(store, [ADA, BOB, "unreadable"])
    store.is_down = True
    assert {} == await epochs_ms(store, [ADA])
    assert key_of(ADA) == epoch_key(ADA)
