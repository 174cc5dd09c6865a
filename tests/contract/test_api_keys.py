"""What API keys in the store promise, over fakeredis, Valkey and Redis."""

import time

import pytest
from redis.asyncio import Redis

from gateway.authn.api_key.key import KeySealer, limit_of
from gateway.authn.api_key.redis import KEPT_BEYOND_S, RedisApiKeys
from gateway.authn.api_key.verifier import ApiKeyVerifier
from gateway.core.errors import (
    ExpiredApiKey,
    InvalidApiKey,
    RateLimited,
    RevokedApiKey,
)
from gateway.core.identity import AuthMethod
from gateway.ratelimit.local import LocalLimiter
from gateway.ratelimit.redis import RedisLimiter
from gateway.store.redis import RedisStore
from tests.fakes.memory import EveryIssuerIsAUser
from tests.fakes.tokens import ALICE

OLD, NEW = b"o" * 32, b"n" * 32


@pytest.fixture
def keys(store: RedisStore) -> RedisApiKeys:
    return RedisApiKeys(store, KeySealer([OLD]))


def verifier(store: RedisStore, *server_keys: bytes) -> ApiKeyVerifier:
    """Of a gateway with these keys."""
    stored = RedisApiKeys(store, KeySealer(server_keys or (OLD,)))
    limiter = RedisLimiter(store, LocalLimiter())
    return ApiKeyVerifier(stored, EveryIssuerIsAUser(), limiter)


async def test_a_key_gets_in_at_any_gateway(keys: RedisApiKeys, store: RedisStore) -> None:
    """It is all that is needed."""
    text, key = await keys.create("ci", ALICE.issuer, lifetime_s=60, scopes=["b", "a"])
    identity = await verifier(store).verify(text)
    assert (ALICE.issuer, AuthMethod.API_KEY) == (identity.user.issuer, identity.method)
    assert (key.id, ("a", "b")) == (identity.token_id, identity.scopes)
    assert key.expires_at_ms == identity.expires_at_ms


async def test_keys_are_listed(keys: RedisApiKeys) -> None:
    """The oldest first, those that were revoked too."""
    made = [(await keys.create(f"k{n}", "service:x", lifetime_s=60))[1] for n in range(3)]
    revoked = await keys.revoke(made[1])
    assert revoked.revoked_at_ms is not None
    assert sorted(k.id for k in made) == sorted(k.id for k in await keys.all())
    assert [revoked] == [key for key in await keys.all() if key.revoked_at_ms]
    assert revoked == await keys.revoke(revoked)


async def test_records_that_are_over_are_forgotten(keys: RedisApiKeys, client: Redis) -> None:
    """The list does not grow for ever; a record that cannot be read stays on it."""
    _, kept = await keys.create("a", "service:x", lifetime_s=60)
    _, gone = await keys.create("b", "service:x", lifetime_s=60)
    _, broken = await keys.create("c", "service:x", lifetime_s=60)
    await client.delete(f"gw:api-key:{gone.id}")
    await client.set(f"gw:api-key:{broken.id}", b"planted")
    assert [kept] == await keys.all()
    assert {kept.id.encode(), broken.id.encode()} == await client.smembers("gw:api-keys")


async def test_the_store_forgets_a_key_a_month_after_its_end(
    keys: RedisApiKeys, client: Redis
) -> None:
    """By itself; until then who still uses it is told."""
    _, key = await keys.create("a", "service:x", lifetime_s=60)
    left_s = await client.ttl(f"gw:api-key:{key.id}")
    assert KEPT_BEYOND_S < left_s <= KEPT_BEYOND_S + 60


async def test_use_is_noted(keys: RedisApiKeys, store: RedisStore) -> None:
    """To the minute."""
    text, key = await keys.create("a", "service:x", lifetime_s=60)
    assert await keys.used_at_ms(key.id) is None
    await verifier(store).verify(text)
    used_at_ms = await keys.used_at_ms(key.id)
    assert used_at_ms is not None
    assert abs(used_at_ms - time.time() * 1000) < 60_000


async def test_a_key_that_was_revoked(keys: RedisApiKeys, store: RedisStore) -> None:
    """Gets in nowhere, and is told why; who knows its id alone is not."""
    text, key = await keys.create("a", "service:x", lifetime_s=60)
    await keys.revoke(key)
    with pytest.raises(RevokedApiKey, match=key.id):
        await verifier(store).verify(text)


async def test_a_key_that_expired(keys: RedisApiKeys, store: RedisStore) -> None:
    """Gets in nowhere, and is told why."""
    text, _ = await keys.create("a", "service:x", lifetime_s=0.001)
    time.sleep(0.002)  # noqa: ASYNC251 - two milliseconds, for the wall clock
    with pytest.raises(ExpiredApiKey):
        await verifier(store).verify(text)


async def test_a_planted_record(keys: RedisApiKeys, store: RedisStore, client: Redis) -> None:
    """Who writes to the store makes no key, and takes no other's rights."""
    text, key = await keys.create("a", "service:x", lifetime_s=60)
    other, _ = await keys.create("b", "service:admin", lifetime_s=60)
    stolen = await client.get(f"gw:api-key:{other[4:20]}")
    assert stolen is not None
    await client.set(f"gw:api-key:{key.id}", stolen)
    with pytest.raises(InvalidApiKey):
        await verifier(store).verify(text)


async def test_a_key_has_a_limit_of_its_own(keys: RedisApiKeys, store: RedisStore) -> None:
    """Counted for the key, at all gateways together."""
    text, _ = await keys.create("a", "service:x", lifetime_s=60, limit=limit_of(3, 60))
    gateways = [verifier(store), verifier(store)]
    for number in range(3):
        await gateways[number % 2].verify(text)
    with pytest.raises(RateLimited, match="api-key"):
        await gateways[1].verify(text)


async def test_sealing_keys_are_rotated(keys: RedisApiKeys, store: RedisStore) -> None:
    """Old in the back, all sealed anew, old gone: every key goes on."""
    text, key = await keys.create("a", "service:x", lifetime_s=60)
    both = RedisApiKeys(store, KeySealer([NEW, OLD]))
    assert await both.reseal(key.id)
    assert "service:x" == (await verifier(store, NEW).verify(text)).user.issuer
    with pytest.raises(InvalidApiKey):
        await verifier(store, OLD).verify(text)
    assert not await both.reseal("a" * 16)


async def test_sealing_anew_takes_back_no_revocation(keys: RedisApiKeys, store: RedisStore) -> None:
    """What was revoked in between stays revoked."""
    text, made = await keys.create("a", "service:x", lifetime_s=60)

    reading = store.get

    async def read_then_revoked(key: str) -> bytes | None:
        record = await reading(key)
        store.get = reading  # type: ignore[method-assign]
        await keys.revoke(made)
        return record

    store.get = read_then_revoked  # type: ignore[method-assign,assignment]
    assert not await RedisApiKeys(store, KeySealer([NEW, OLD])).reseal(made.id)
    with pytest.raises(RevokedApiKey):
        await verifier(store, NEW, OLD).verify(text)
