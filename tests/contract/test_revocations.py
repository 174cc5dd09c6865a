"""What the port `Revocations` promises, over fakeredis, Valkey and Redis."""

import asyncio
import time

import pytest
from redis.asyncio import Redis

from gateway.core.errors import StoreUnavailable
from gateway.core.invalidation import InvalidationKind
from gateway.revocation.redis import RedisRevocations
from gateway.store.bus import StoreBus
from gateway.store.connect import redis_client as connect
from gateway.store.redis import RedisStore
from tests.fakes.memory import FakeClock
from tests.fakes.servers import TIMEOUT_S, RealServer

ADA, KEY = "did:ethr:0xAd", "gw:revoked:did:ethr:0xAd"
KEPT_S = 3600.0
GRACE_S = 30.0


def made(store: RedisStore, clock: FakeClock | None = None) -> RedisRevocations:
    """As one gateway has it."""
    bus = StoreBus(store)
    revocations = RedisRevocations(
        store, bus, kept_s=KEPT_S, grace_s=GRACE_S, clock=clock or time.time
    )
    bus.on(InvalidationKind.REVOKED, revocations.forget)
    return revocations


def now_ms() -> int:
    return int(time.time() * 1000)


async def test_a_revocation_is_known_to_all(store: RedisStore) -> None:
    """It is of now, by the store's clock or the gateway's."""
    before_ms = now_ms()
    epoch_ms = await made(store).revoke(ADA)

    assert before_ms <= epoch_ms <= now_ms()
    assert epoch_ms == await made(store).epoch_ms(ADA)
    assert await made(store).epoch_ms("did:ethr:0xB0b") is None


async def test_it_is_kept_for_as_long_as_tokens_live(store: RedisStore, client: Redis) -> None:
    """And then forgotten by the store itself: what it voided has ended."""
    epoch_ms = await made(store).revoke(ADA)

    assert epoch_ms + KEPT_S * 1000 == await client.pexpiretime(KEY)


@pytest.mark.parametrize("by_s", [-3600, 3600])
async def test_the_later_clock_counts(store: RedisStore, by_s: float) -> None:
    """A clock that is behind must not leave alive what was proven a moment ago."""
    clock = FakeClock(time.time() + by_s)
    epoch_ms = await made(store, clock).revoke(ADA)

    expected_s = max(time.time(), clock.now_s)
    assert abs(epoch_ms - expected_s * 1000) < 5000


async def test_it_never_goes_back(store: RedisStore) -> None:
    """A second one, by a gateway with a clock that is behind, does not move the epoch back."""
    later = await made(store, FakeClock(time.time() + 3600)).revoke(ADA)

    assert later == await made(store).revoke(ADA)


async def test_of_many_at_a_time_all_hold(store: RedisStore) -> None:
    """The last word is the latest."""
    clock = time.time()
    gateways = [made(store, FakeClock(clock + 60 + number)) for number in range(20)]

    epochs = await asyncio.gather(*(gateway.revoke(ADA) for gateway in gateways))

    assert max(epochs) == await made(store).epoch_ms(ADA) == int((clock + 79) * 1000)


async def test_a_foreign_value_is_overwritten(store: RedisStore, client: Redis) -> None:
    """A revocation holds, whatever was there before; an unreadable one refuses the user."""
    await client.set(KEY, "tomorrow")
    with pytest.raises(StoreUnavailable):
        await made(store).epoch_ms(ADA)

    epoch_ms = await made(store).revoke(ADA)
    assert epoch_ms == await made(store).epoch_ms(ADA)


async def test_a_key_of_another_kind_is_no_success(store: RedisStore, client: Redis) -> None:
    """The caller gets an error: the revocation was not stored."""
    await client.rpush(KEY, "x")
    with pytest.raises(StoreUnavailable):
        await made(store).revoke(ADA)


async def test_without_the_store_it_is_known_for_the_grace(mortal_server: RealServer) -> None:
    """Who was revoked stays so, who was not may go on, and who is a stranger is unknown."""
    store = RedisStore(connect(mortal_server.url, TIMEOUT_S), "gw:", TIMEOUT_S)
    clock = FakeClock(time.time())
    gateway = made(store, clock)
    epoch_ms = await gateway.revoke(ADA)
    assert epoch_ms == await gateway.epoch_ms(ADA)
    mortal_server.kill()

    clock.now_s += 10
    assert epoch_ms == await gateway.epoch_ms(ADA)
    clock.now_s += 20
    for issuer in (ADA, "did:ethr:0xB0b"):
        with pytest.raises(StoreUnavailable):
            await gateway.epoch_ms(issuer)
    with pytest.raises(StoreUnavailable):
        await gateway.revoke(ADA)
    await store.aclose()
