"""Records of API keys in the store."""

from collections.abc import Sequence

import pytest

from gateway.authn.api_key.key import KeySealer, is_secret_of, parse_key
from gateway.authn.api_key.redis import KEPT_BEYOND_S, RedisApiKeys
from gateway.core.errors import StoreUnavailable
from gateway.core.limit import Limit
from tests.fakes.memory import FakeClock
from tests.fakes.store import FakeStore, Word

OLD, NEW = b"o" * 32, b"n" * 32


class ApiKeyStore:
    """A store with the scripts of API keys, and the records in it."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.ids: set[str] = set()
        self.store = FakeStore(self.clock, {"api_keys": self._update_index, "swap": self._swap})
        self.keys = self.sealed_with(OLD)

    def sealed_with(self, *server_keys: bytes) -> RedisApiKeys:
        """Access with these server keys, the first of which seals."""
        return RedisApiKeys(self.store, KeySealer(server_keys), self.clock)

    def _update_index(self, _: Sequence[str], args: Sequence[Word]) -> list[bytes]:
        added, *removed = map(str, args)
        self.ids = (self.ids | {added} - {""}) - set(removed)
        return [member.encode() for member in sorted(self.ids)]

    def _swap(self, keys: Sequence[str], args: Sequence[Word]) -> int:
        *forms, replacement = args
        value, ends_at_ms = self.store.values[keys[0]]
        if value.hex() not in forms:
            return 0
        assert isinstance(replacement, bytes)
        self.store.values[keys[0]] = replacement, ends_at_ms
        return 1


@pytest.fixture
def around() -> ApiKeyStore:
    return ApiKeyStore()


async def test_a_created_key_can_be_looked_up(around: ApiKeyStore) -> None:
    """The text holds the secret, the record only its hash; scopes are sorted and distinct."""
    limit = Limit("api-key", 5, 60)
    text, key = await around.keys.create(
        "ci", "service:x", lifetime_s=60, scopes=["b", "a", "b"], limit=limit
    )
    assert key == await around.keys.get(key.id)
    parts = parse_key(text)
    assert parts is not None
    assert is_secret_of(key, parts.secret)
    assert (("a", "b"), limit) == (key.scopes, key.limit)
    assert all(parts.secret.encode() not in value for value, _ in around.store.values.values())


async def test_a_record_outlives_its_key(around: ApiKeyStore) -> None:
    """So that a client with an expired key is told so, for 30 days."""
    _, key = await around.keys.create("ci", "service:x", lifetime_s=60)
    around.clock.now_s += 60 + KEPT_BEYOND_S - 1
    found = await around.keys.get(key.id)
    assert found is not None
    assert "expired" == found.state(int(around.clock() * 1000))
    around.clock.now_s += 1
    assert await around.keys.get(key.id) is None


async def test_a_failed_creation_leaves_no_unlisted_key(around: ApiKeyStore) -> None:
    """The id is stored first: a record without it could not be found to revoke it."""
    await around.keys.create("ci", "service:x", lifetime_s=60)
    assert ["run", "set"] == [command for command, _ in around.store.asked]


async def test_all_lists_keys_by_age_and_forgets_those_that_are_gone(around: ApiKeyStore) -> None:
    """A record that cannot be opened stays on the list, as another gateway may have its key."""
    made = []
    for name in ("first", "second", "gone", "unreadable"):
        made.append((await around.keys.create(name, "service:x", lifetime_s=60))[1])
        around.clock.now_s += 1
    first, second, gone, unreadable = made
    await around.store.delete(f"api-key:{gone.id}")
    around.store.values[f"api-key:{unreadable.id}"] = b"junk", 2**53
    assert [first, second] == await around.keys.all()
    assert {first.id, second.id, unreadable.id} == around.ids


async def test_a_key_is_revoked_once(around: ApiKeyStore) -> None:
    """A second revocation keeps the time of the first."""
    _, key = await around.keys.create("ci", "service:x", lifetime_s=60)
    revoked = await around.keys.revoke(key)
    around.clock.now_s += 5
    assert revoked == await around.keys.revoke(revoked) == await around.keys.get(key.id)
    assert revoked.revoked_at_ms == key.created_at_ms


async def test_a_record_opens_only_under_its_own_id(around: ApiKeyStore) -> None:
    """An attacker with write access to the store cannot give one key the record of another."""
    _, key = await around.keys.create("a", "service:x", lifetime_s=60)
    _, other = await around.keys.create("b", "service:admin", lifetime_s=60)
    around.store.values[f"api-key:{key.id}"] = around.store.values[f"api-key:{other.id}"]
    assert await around.keys.get(key.id) is None


async def test_a_record_is_sealed_again_with_the_first_key(around: ApiKeyStore) -> None:
    """Then the old server key can be removed; the record keeps its time to live."""
    _, key = await around.keys.create("ci", "service:x", lifetime_s=60)
    ends_at_ms = around.store.values[f"api-key:{key.id}"][1]
    assert await around.sealed_with(NEW, OLD).reseal(key.id)
    assert key == await around.sealed_with(NEW).get(key.id)
    assert await around.keys.get(key.id) is None
    assert ends_at_ms == around.store.values[f"api-key:{key.id}"][1]


async def test_what_cannot_be_opened_is_not_sealed_again(around: ApiKeyStore) -> None:
    """Neither an unknown id nor the record of an unknown server key."""
    _, key = await around.keys.create("ci", "service:x", lifetime_s=60)
    assert not await around.sealed_with(NEW).reseal(key.id)
    assert not await around.keys.reseal("a" * 16)


async def test_use_is_recorded_without_waiting_for_a_store_that_is_down(
    around: ApiKeyStore,
) -> None:
    """A request does not fail because its use cannot be recorded."""
    _, key = await around.keys.create("ci", "service:x", lifetime_s=60)
    assert await around.keys.used_at_ms(key.id) is None
    await around.keys.note_use(key)
    assert int(around.clock() * 1000) == await around.keys.used_at_ms(key.id)
    around.store.is_down = True
    await around.keys.note_use(key)
    with pytest.raises(StoreUnavailable):
        await around.keys.used_at_ms(key.id)


async def test_a_malformed_time_of_use_is_ignored(around: ApiKeyStore) -> None:
    """The store may hold anything."""
    around.store.values["api-key-used:x"] = b"-1", 2**53
    assert await around.keys.used_at_ms("x") is None
