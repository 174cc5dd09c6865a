"""Verification of API keys, and the cache of their records."""

import asyncio
from base64 import b32decode

import pytest

from gateway.authn.api_key.key import (
    ApiKey,
    KeySealer,
    format_key,
    limit_of,
)
from gateway.authn.api_key.redis import RedisApiKeys
from gateway.authn.api_key.verifier import (
    FRESH_S,
    GRACE_S,
    UNKNOWN_S,
    ApiKeyVerifier,
)
from gateway.core.errors import (
    ExpiredApiKey,
    InvalidApiKey,
    RateLimited,
    RevokedApiKey,
    StoreUnavailable,
)
from gateway.core.identity import User
from gateway.core.limit import Limit
from gateway.ratelimit.local import LocalLimiter
from tests.fakes.memory import EveryIssuerIsAUser, FakeClock, UnknownUsers
from tests.fakes.store import FakeStore

OWNER = "did:ethr:0x" + "ab" * 20


class VerifierUnderTest:
    """A verifier, its store, and the keys in it."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = FakeStore(self.clock, {"api_keys": lambda _keys, _args: []})
        self.keys = RedisApiKeys(self.store, KeySealer([b"k" * 32]), self.clock)
        self.directory = EveryIssuerIsAUser()
        self.verifier = self.another()

    def another(self) -> ApiKeyVerifier:
        return ApiKeyVerifier(
            self.keys, self.directory, LocalLimiter(self.clock), clock=self.clock, capacity=10
        )

    async def made(
        self, owner: str = OWNER, *, lifetime_s: float = 3600, limit: Limit | None = None
    ) -> tuple[str, ApiKey]:
        """A new key."""
        return await self.keys.create("ci", owner, lifetime_s=lifetime_s, limit=limit)

    def asked(self, key: ApiKey) -> int:
        """How often the store was asked for ``key``."""
        return self.store.asked.count(("get", f"api-key:{key.id}"))


@pytest.fixture
def under_test() -> VerifierUnderTest:
    return VerifierUnderTest()


async def test_the_key_of_a_user_carries_the_users_metadata(under_test: VerifierUnderTest) -> None:
    """Apps get the email as for a session."""
    text, _ = await under_test.made()
    identity = await under_test.verifier.verify(text)
    assert User(OWNER, email="alice@example.com") == identity.user


async def test_the_key_of_a_service_carries_its_name_alone(under_test: VerifierUnderTest) -> None:
    """Magic is not asked about services."""
    text, _ = await under_test.made("service:billing")
    assert User("service:billing") == (await under_test.verifier.verify(text)).user


async def test_the_identity_is_the_same_object_while_nothing_changes(
    under_test: VerifierUnderTest,
) -> None:
    """Values derived from an identity are computed once."""
    for owner in (OWNER, "service:billing"):
        text, _ = await under_test.made(owner)
        first = await under_test.verifier.verify(text)
        under_test.clock.now_s += FRESH_S
        assert first is await under_test.verifier.verify(text)


async def test_new_metadata_is_used_at_once(under_test: VerifierUnderTest) -> None:
    """The identity is made again when the directory returns another user."""
    text, _ = await under_test.made()
    await under_test.verifier.verify(text)
    under_test.directory.now = User(OWNER, email="new@example.com")
    assert "new@example.com" == (await under_test.verifier.verify(text)).user.email


async def test_the_key_of_an_unknown_user_is_refused(under_test: VerifierUnderTest) -> None:
    """A user that Magic does not know has no valid keys."""
    text, _ = await under_test.made()
    verifier = ApiKeyVerifier(
        under_test.keys, UnknownUsers(), LocalLimiter(), clock=under_test.clock
    )
    with pytest.raises(InvalidApiKey, match="no user"):
        await verifier.verify(text)


async def test_a_fresh_record_is_not_looked_up_again(under_test: VerifierUnderTest) -> None:
    """After a second, the store is asked again."""
    text, key = await under_test.made()
    for _ in range(3):
        await under_test.verifier.verify(text)
    assert 1 == under_test.asked(key)
    under_test.clock.now_s += FRESH_S
    await under_test.verifier.verify(text)
    assert 2 == under_test.asked(key)


async def test_keys_of_one_moment_do_not_go_stale_in_one_moment(
    under_test: VerifierUnderTest,
) -> None:
    """The store is asked for some of them earlier, and for none later than after a second."""
    made = [await under_test.made("service:billing") for _ in range(10)]
    asked = []
    for after_s in (0, 0.74, 0.13, 0.13):
        under_test.clock.now_s += after_s
        before = sum(under_test.asked(key) for _, key in made)
        for text, _ in made:
            await under_test.verifier.verify(text)
        asked.append(sum(under_test.asked(key) for _, key in made) - before)

    assert [10, 0] == asked[:2]
    assert all(4 <= number <= 6 for number in asked[2:])


async def test_use_is_recorded_once_a_minute(under_test: VerifierUnderTest) -> None:
    """The number of requests does not matter."""
    text, key = await under_test.made()
    for _ in range(60):
        await under_test.verifier.verify(text)
        under_test.clock.now_s += 1
    assert 1 == under_test.store.asked.count(("set", f"api-key-used:{key.id}"))
    await under_test.verifier.verify(text)
    assert 2 == under_test.store.asked.count(("set", f"api-key-used:{key.id}"))


async def test_malformed_keys_are_refused_without_the_store(under_test: VerifierUnderTest) -> None:
    """Their checksum is wrong."""
    text, _ = await under_test.made()
    under_test.store.asked.clear()
    for bad in ("", "gwk_", text[:-1], text + "0"):
        with pytest.raises(InvalidApiKey, match="malformed"):
            await under_test.verifier.verify(bad)
    assert [] == under_test.store.asked


async def test_a_wrong_secret_is_refused(under_test: VerifierUnderTest) -> None:
    """A cached id opens nothing, and the refusal does not tell the state of the key."""
    text, key = await under_test.made()
    await under_test.verifier.verify(text)
    await under_test.keys.revoke(key)
    forged, _ = format_key(b"\0" * 10, b"x" * 32)
    guess = _guess(key.id)
    with pytest.raises(InvalidApiKey, match="wrong secret"):
        await under_test.verifier.verify(guess)
    assert not under_test.verifier.knows(guess)
    with pytest.raises(InvalidApiKey, match="no such key"):
        await under_test.verifier.verify(forged)


async def test_unknown_ids_are_cached_for_ten_seconds(under_test: VerifierUnderTest) -> None:
    """The cache of known keys is a separate one."""
    text, parts = format_key(b"i" * 10, b"s" * 32)
    for _ in range(3):
        with pytest.raises(InvalidApiKey):
            await under_test.verifier.verify(text)
    assert 1 == under_test.store.asked.count(("get", f"api-key:{parts.id}"))
    under_test.clock.now_s += UNKNOWN_S
    with pytest.raises(InvalidApiKey):
        await under_test.verifier.verify(text)
    assert 2 == under_test.store.asked.count(("get", f"api-key:{parts.id}"))


async def test_a_flood_of_unknown_ids_evicts_no_key(under_test: VerifierUnderTest) -> None:
    """Unknown ids have a cache of their own."""
    text, key = await under_test.made()
    await under_test.verifier.verify(text)
    for number in range(50):
        forged, _ = format_key(number.to_bytes(10), b"s" * 32)
        with pytest.raises(InvalidApiKey):
            await under_test.verifier.verify(forged)
    await under_test.verifier.verify(text)
    assert 1 == under_test.asked(key)


async def test_an_invalidation_ends_a_cached_key_at_once(under_test: VerifierUnderTest) -> None:
    """The gateway does not wait for the second to pass."""
    text, key = await under_test.made()
    await under_test.verifier.verify(text)
    await under_test.keys.revoke(key)
    await under_test.verifier.verify(text)
    under_test.verifier.forget(key.id)
    with pytest.raises(RevokedApiKey):
        await under_test.verifier.verify(text)


async def test_a_look_up_during_an_invalidation_is_not_cached(
    under_test: VerifierUnderTest,
) -> None:
    """Its reply may be from before the revocation."""
    text, key = await under_test.made()
    under_test.store.gate.clear()
    slow = asyncio.ensure_future(under_test.verifier.verify(text))
    await asyncio.sleep(0)
    under_test.verifier.forget(key.id)
    under_test.store.gate.set()
    await slow
    assert 1 == under_test.asked(key)
    await under_test.verifier.verify(text)
    assert 2 == under_test.asked(key)


async def test_after_missed_messages_all_keys_are_looked_up_again(
    under_test: VerifierUnderTest,
) -> None:
    """Cached keys stay valid while the store is unavailable."""
    text, key = await under_test.made()
    await under_test.verifier.verify(text)
    under_test.verifier.forget_all()
    await under_test.verifier.verify(text)
    assert 2 == under_test.asked(key)
    under_test.verifier.forget_all()
    under_test.store.is_down = True
    await under_test.verifier.verify(text)


async def test_cached_keys_stay_valid_for_the_grace_period(under_test: VerifierUnderTest) -> None:
    """A key that was invalidated has no grace."""
    text, key = await under_test.made()
    await under_test.verifier.verify(text)
    under_test.store.is_down = True
    under_test.clock.now_s += GRACE_S - 1
    await under_test.verifier.verify(text)
    under_test.clock.now_s += 1
    with pytest.raises(StoreUnavailable):
        await under_test.verifier.verify(text)
    under_test.clock.now_s -= 1
    under_test.verifier.forget(key.id)
    with pytest.raises(StoreUnavailable):
        await under_test.verifier.verify(text)


async def test_a_cached_key_expires_on_time(under_test: VerifierUnderTest) -> None:
    """Expiry is exact to the millisecond and needs no store."""
    text, _ = await under_test.made(lifetime_s=0.5)
    await under_test.verifier.verify(text)
    under_test.clock.now_s += 0.5
    with pytest.raises(ExpiredApiKey):
        await under_test.verifier.verify(text)


async def test_a_key_has_a_rate_limit_of_its_own(under_test: VerifierUnderTest) -> None:
    """The refusal says when there is room again."""
    text, _ = await under_test.made(limit=limit_of(2, 60))
    other, _ = await under_test.made(limit=limit_of(2, 60))
    for _ in range(2):
        await under_test.verifier.verify(text)
    with pytest.raises(RateLimited) as refusal:
        await under_test.verifier.verify(text)
    assert refusal.value.state.retry_after_s > 0
    await under_test.verifier.verify(other)


async def test_verified_keys_are_known(under_test: VerifierUnderTest) -> None:
    """Failures of other clients at the same address do not block them."""
    text, _ = await under_test.made()
    assert not under_test.verifier.knows(text)
    assert not under_test.verifier.knows("gwk_")
    await under_test.verifier.verify(text)
    assert under_test.verifier.knows(text)


def _guess(key_id: str) -> str:
    """A key of the same id, with another secret."""
    return format_key(b32decode(key_id.upper()), b"x" * 32)[0]
