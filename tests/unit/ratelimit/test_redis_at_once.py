"""Several limits of one request that are charged without a wait, or not at all."""

from collections.abc import AsyncIterator

import fakeredis
import pytest

from gateway.core.limit import Limit, Spend
from gateway.ratelimit.local import LocalLimiter
from gateway.ratelimit.redis import RedisLimiter
from gateway.store.redis import RedisStore

WIDE, WIDER = Limit("wide", 100, 3600), Limit("wider", 1000, 3600)
FEW = Limit("few", 2, 3600)


@pytest.fixture
async def limiter() -> AsyncIterator[RedisLimiter]:
    client = fakeredis.FakeAsyncRedis(server=fakeredis.FakeServer())
    limiter = RedisLimiter(RedisStore(client, "gw:", 2), LocalLimiter())
    yield limiter
    await limiter.aclose()
    await client.aclose()


async def test_all_that_have_room_are_charged_at_once(limiter: RedisLimiter) -> None:
    """As soon as each of them is known; nothing is charged before."""
    both = [Spend(WIDE, "a"), Spend(WIDER, "a", 3)]
    assert limiter.spend_all_now(both) is None
    await limiter.spend(WIDE, "a")
    assert limiter.spend_all_now(both) is None
    await limiter.spend(WIDER, "a")
    states = limiter.spend_all_now(both)
    assert states is not None
    assert [WIDE, WIDER] == [state.limit for state in states]
    await limiter.aclose()
    left = RedisLimiter(limiter._store, LocalLimiter())
    assert [100 - 3, 1000 - 5] == [
        (await left.spend(limit, "a")).remaining for limit in (WIDE, WIDER)
    ]


async def test_a_cost_beyond_the_headroom_waits(limiter: RedisLimiter) -> None:
    """Only half of a limit is admitted ahead."""
    await limiter.spend(WIDE, "a")
    assert limiter.spend_all_now([Spend(WIDE, "a", 60)]) is None
    assert limiter.spend_all_now([Spend(WIDE, "a", 40)]) is not None


async def test_a_flood_over_one_limit_is_refused_from_memory(limiter: RedisLimiter) -> None:
    """The other limits need not be known, and are charged nothing."""
    for _ in range(3):
        await limiter.spend(FEW, "a")
    states = limiter.spend_all_now([Spend(WIDE, "a"), Spend(FEW, "a")])
    assert states is not None
    assert [FEW] == [state.limit for state in states if not state.allowed]
    assert 99 == (await limiter.spend(WIDE, "a")).remaining
