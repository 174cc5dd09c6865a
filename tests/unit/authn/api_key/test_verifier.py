"""Whose an API key is, and what is remembered of it."""

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
from tests.fakes.memory import FakeClock, KnowsEverybody
from tests.fakes.store import FakeStore

OWNER = "did:ethr:0x" + "ab" * 20


class Nobody:
    """A `Directory` that knows nobody."""

    async def user(self, issuer: str) -> User | None:  # noqa: ARG002 - as the port has it
        return None


class Gate:
    """A gateway's verifier, the store, and the keys in it."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = FakeStore(self.clock, {"api_keys": lambda _keys, _args: []})
        self.keys = RedisApiKeys(self.store, KeySealer([b"k" * 32]), self.clock)
        self.directory = KnowsEverybody()
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
def gate() -> Gate:
    return Gate()


async def test_a_key_of_a_person(gate: Gate) -> None:
    """Is told with what Magic knows of that person."""
    text, _ = await gate.made()
    identity = await gate.verifier.verify(text)
    assert User(OWNER, email="alice@example.com") == identity.user


async def test_a_key_of_a_service(gate: Gate) -> None:
    """Magic is not asked, and knows nothing."""
    text, _ = await gate.made("service:billing")
    assert User("service:billing") == (await gate.verifier.verify(text)).user


async def test_the_same_object_as_long_as_nothing_changes(gate: Gate) -> None:
    """What is derived from an identity is made once."""
    for owner in (OWNER, "service:billing"):
        text, _ = await gate.made(owner)
        first = await gate.verifier.verify(text)
        gate.clock.now_s += FRESH_S
        assert first is await gate.verifier.verify(text)


async def test_what_magic_learns_is_told(gate: Gate) -> None:
    """At once."""
    text, _ = await gate.made()
    await gate.verifier.verify(text)
    gate.directory.now = User(OWNER, email="new@example.com")
    assert "new@example.com" == (await gate.verifier.verify(text)).user.email


async def test_a_person_who_is_gone(gate: Gate) -> None:
    """Their keys are good for nothing."""
    text, _ = await gate.made()
    verifier = ApiKeyVerifier(gate.keys, Nobody(), LocalLimiter(), clock=gate.clock)
    with pytest.raises(InvalidApiKey, match="no user"):
        await verifier.verify(text)


async def test_a_hot_key_asks_nobody(gate: Gate) -> None:
    """For a second; then the store is asked again."""
    text, key = await gate.made()
    for _ in range(3):
        await gate.verifier.verify(text)
    assert 1 == gate.asked(key)
    gate.clock.now_s += FRESH_S
    await gate.verifier.verify(text)
    assert 2 == gate.asked(key)


async def test_use_is_noted_once_a_minute(gate: Gate) -> None:
    """Whatever the key does."""
    text, key = await gate.made()
    for _ in range(60):
        await gate.verifier.verify(text)
        gate.clock.now_s += 1
    assert 1 == gate.store.asked.count(("set", f"api-key-used:{key.id}"))
    await gate.verifier.verify(text)
    assert 2 == gate.store.asked.count(("set", f"api-key-used:{key.id}"))


async def test_malformed_ones_cost_nothing(gate: Gate) -> None:
    """The store is not asked."""
    text, _ = await gate.made()
    gate.store.asked.clear()
    for bad in ("", "gwk_", text[:-1], text + "0"):
        with pytest.raises(InvalidApiKey, match="malformed"):
            await gate.verifier.verify(bad)
    assert [] == gate.store.asked


async def test_a_wrong_secret(gate: Gate) -> None:
    """An id that is known opens nothing, however hot; and tells nothing of its state."""
    text, key = await gate.made()
    await gate.verifier.verify(text)
    await gate.keys.revoke(key)
    forged, _ = format_key(b"\0" * 10, b"x" * 32)
    guess = _guess(key.id)
    with pytest.raises(InvalidApiKey, match="wrong secret"):
        await gate.verifier.verify(guess)
    assert not gate.verifier.knows(guess)
    with pytest.raises(InvalidApiKey, match="no such key"):
        await gate.verifier.verify(forged)


async def test_unknown_ids_are_remembered(gate: Gate) -> None:
    """For ten seconds, apart from those that are known."""
    text, parts = format_key(b"i" * 10, b"s" * 32)
    for _ in range(3):
        with pytest.raises(InvalidApiKey):
            await gate.verifier.verify(text)
    assert 1 == gate.store.asked.count(("get", f"api-key:{parts.id}"))
    gate.clock.now_s += UNKNOWN_S
    with pytest.raises(InvalidApiKey):
        await gate.verifier.verify(text)
    assert 2 == gate.store.asked.count(("get", f"api-key:{parts.id}"))


async def test_a_flood_of_made_up_ids_pushes_out_no_key(gate: Gate) -> None:
    """They have a memory of their own."""
    text, key = await gate.made()
    await gate.verifier.verify(text)
    for number in range(50):
        forged, _ = format_key(number.to_bytes(10), b"s" * 32)
        with pytest.raises(InvalidApiKey):
            await gate.verifier.verify(forged)
    await gate.verifier.verify(text)
    assert 1 == gate.asked(key)


async def test_who_hears_of_a_revocation_obeys_at_once(gate: Gate) -> None:
    """Not after a second."""
    text, key = await gate.made()
    await gate.verifier.verify(text)
    await gate.keys.revoke(key)
    await gate.verifier.verify(text)
    gate.verifier.forget(key.id)
    with pytest.raises(RevokedApiKey):
        await gate.verifier.verify(text)


async def test_a_look_up_under_way_is_not_remembered_after_a_revocation(
    gate: Gate,
) -> None:
    """It may have come before the revocation and be answered after it."""
    text, key = await gate.made()
    gate.store.gate.clear()
    slow = asyncio.ensure_future(gate.verifier.verify(text))
    await asyncio.sleep(0)
    gate.verifier.forget(key.id)
    gate.store.gate.set()
    await slow
    assert 1 == gate.asked(key)
    await gate.verifier.verify(text)
    assert 2 == gate.asked(key)


async def test_where_something_was_missed_all_are_asked_for_again(gate: Gate) -> None:
    """What was known still holds while the store does not answer."""
    text, key = await gate.made()
    await gate.verifier.verify(text)
    gate.verifier.forget_all()
    await gate.verifier.verify(text)
    assert 2 == gate.asked(key)
    gate.verifier.forget_all()
    gate.store.is_down = True
    await gate.verifier.verify(text)


async def test_without_the_store_known_keys_go_on_for_a_while(gate: Gate) -> None:
    """Half a minute; unless it was heard that they were revoked."""
    text, key = await gate.made()
    await gate.verifier.verify(text)
    gate.store.is_down = True
    gate.clock.now_s += GRACE_S - 1
    await gate.verifier.verify(text)
    gate.clock.now_s += 1
    with pytest.raises(StoreUnavailable):
        await gate.verifier.verify(text)
    gate.clock.now_s -= 1
    gate.verifier.forget(key.id)
    with pytest.raises(StoreUnavailable):
        await gate.verifier.verify(text)


async def test_expiry_is_seen_by_a_hot_key(gate: Gate) -> None:
    """To the millisecond, also without the store."""
    text, _ = await gate.made(lifetime_s=0.5)
    await gate.verifier.verify(text)
    gate.clock.now_s += 0.5
    with pytest.raises(ExpiredApiKey):
        await gate.verifier.verify(text)


async def test_its_own_limit(gate: Gate) -> None:
    """Holds for the key, and says when there is room again."""
    text, _ = await gate.made(limit=limit_of(2, 60))
    other, _ = await gate.made(limit=limit_of(2, 60))
    for _ in range(2):
        await gate.verifier.verify(text)
    with pytest.raises(RateLimited) as refusal:
        await gate.verifier.verify(text)
    assert refusal.value.state.retry_after_s > 0
    await gate.verifier.verify(other)


async def test_keys_that_proved_somebody_are_known(gate: Gate) -> None:
    """So that others' failures do not lock them out."""
    text, _ = await gate.made()
    assert not gate.verifier.knows(text)
    assert not gate.verifier.knows("gwk_")
    await gate.verifier.verify(text)
    assert gate.verifier.knows(text)


def _guess(key_id: str) -> str:
    """A key of the same id, with another secret."""
    return format_key(b32decode(key_id.upper()), b"x" * 32)[0]
