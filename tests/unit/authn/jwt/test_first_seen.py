"""When JWTs of fast clocks were first seen, in the store."""

import pytest

from gateway.authn.jwt.first_seen import FirstSeen
from gateway.core.errors import StoreUnavailable
from tests.fakes.memory import FakeClock, MemoryStore

DIGEST = b"\x01" * 32


async def test_the_first_time_stays(clock: FakeClock, store: MemoryStore) -> None:
    """Every gateway finds it, until the token expires."""
    ends_at_ms = int(clock() * 1000) + 5000
    for seen_at_ms in (1000, 2000, 500):
        await FirstSeen(store).remember(DIGEST, seen_at_ms, expires_at_ms=ends_at_ms)
    assert 1000 == await FirstSeen(store).find_ms(DIGEST)
    assert await FirstSeen(store).find_ms(b"\x02" * 32) is None
    clock.now_s += 5
    assert await FirstSeen(store).find_ms(DIGEST) is None


async def test_without_the_store(store: MemoryStore) -> None:
    """Nothing is remembered, and whether it was seen is unknown, which is not "no"."""
    store.is_down = True
    await FirstSeen(store).remember(DIGEST, 1000, expires_at_ms=2000)
    with pytest.raises(StoreUnavailable):
        await FirstSeen(store).find_ms(DIGEST)


async def test_a_record_that_is_no_time(clock: FakeClock, store: MemoryStore) -> None:
    """It is as unknown as without the store."""
    await FirstSeen(store).remember(DIGEST, 1000, expires_at_ms=int(clock() * 1000) + 1)
    [(key, (_, ends_at_ms))] = store.values.items()
    store.values[key] = (b"-1", ends_at_ms)
    with pytest.raises(StoreUnavailable):
        await FirstSeen(store).find_ms(DIGEST)
