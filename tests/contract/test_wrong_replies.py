"""Replies of the store that are not what was asked for: behind, swapped, of another type."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable

import pytest

from gateway.core.errors import StoreUnavailable
from gateway.core.limit import Limit
from gateway.core.ports import Script
from gateway.core.replies import is_count
from gateway.ratelimit.local import LocalLimiter
from gateway.ratelimit.redis import RedisLimiter
from gateway.store.connect import redis_client as connect
from gateway.store.redis import RedisStore
from tests.fakes.odd_store import WRONG, OddStore, behind, doubled, nothing, odd_store, right
from tests.fakes.servers import Servers, eventually

pytestmark = pytest.mark.timeout(60)

TIMEOUT_S = 2.0
LIMIT = Limit("api", rate=1000, window_s=10**8)
STRICT = Limit("strict", rate=1000, window_s=10**8, on_store_failure="closed")
ADD = Script("add", "return redis.call('INCRBY', KEYS[1], ARGV[1])", is_count)


class Counted:
    """Counts calls."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


@pytest.fixture
async def odd(servers: Servers) -> AsyncIterator[OddStore]:
    """A relay before an empty Valkey."""
    server = servers("valkey")
    async with connect(server.url, 2) as client:
        await client.flushall()
    async with odd_store(server.url) as relay:
        yield relay


@pytest.fixture
def wrong() -> Counted:
    """What counts wrong replies."""
    return Counted()


@pytest.fixture
async def store(odd: OddStore, wrong: Counted) -> AsyncIterator[RedisStore]:
    """A store behind the relay."""
    opened = RedisStore(connect(odd.url, TIMEOUT_S), "", TIMEOUT_S, on_wrong_reply=wrong)
    await opened.ping()
    yield opened
    await opened.aclose()


async def _settled(*asked: Awaitable[object]) -> list[object]:
    """Wait for all, each with its value or its exception; fails where one waits for ever."""
    async with asyncio.timeout(3 * TIMEOUT_S):
        return await asyncio.gather(*asked, return_exceptions=True)


async def _heals(store: RedisStore, odd: OddStore) -> None:
    odd.manner = right

    async def answers() -> bool:
        try:
            await store.ping()
        except StoreUnavailable:
            return False
        return True

    await eventually(answers, within_s=20)


@pytest.mark.parametrize("manner", WRONG)
async def test_no_caller_gets_a_reply_that_is_not_its_own(
    manner: str, store: RedisStore, odd: OddStore, wrong: Counted
) -> None:
    """Each is refused, and that is counted; the connection is closed, and replaced later."""
    ends_ms = int((time.time() + 60) * 1000)
    for name in ("a", "b", "c"):
        await store.set(name, name.encode(), expires_at_ms=ends_ms)
    opened, odd.manner = odd.opened, WRONG[manner]

    async def get(key: str) -> bytes | None:
        return await store.get(key)

    async def add() -> object:
        return await store.run(ADD, ["n"], [1])

    replies = await _settled(*map(get, ("a", "b", "c")), add())

    assert [StoreUnavailable] * 4 == list(map(type, replies))
    assert 1 == wrong.count
    await _heals(store, odd)
    assert [b"a", b"b", b"c"] == await asyncio.gather(*map(store.get, ("a", "b", "c")))
    assert odd.opened > opened


async def test_replies_that_are_one_behind_are_found_where_they_look_alike(
    store: RedisStore, odd: OddStore, wrong: Counted
) -> None:
    """A value of the key before is a value too: what is echoed last tells them apart."""
    ends_ms = int((time.time() + 60) * 1000)
    for name in ("a", "b"):
        await store.set(name, name.encode(), expires_at_ms=ends_ms)
    assert b"a" == await store.get("a")
    odd.manner = doubled
    with pytest.raises(StoreUnavailable):
        await store.get("a")
    odd.manner = right
    await _heals(store, odd)

    assert b"b" == await store.get("b")
    assert 1 == wrong.count


@pytest.mark.parametrize("manner", [*WRONG, "nothing"])
async def test_a_limit_is_answered_whatever_the_store_replies(
    manner: str, store: RedisStore, odd: OddStore
) -> None:
    """By this process while replies are wrong, by the store again when it has healed."""
    limiter = RedisLimiter(store, LocalLimiter())
    await limiter.spend(STRICT, "a")
    odd.manner = {**WRONG, "nothing": nothing}[manner]

    during = await _settled(*(limiter.spend(LIMIT, f"c{n}") for n in range(5)))
    refused = await _settled(limiter.spend(STRICT, "a"))
    await _heals(store, odd)
    after = await _settled(limiter.spend(STRICT, "a"))

    assert [True] * 5 == [getattr(state, "allowed", state) for state in during]
    assert [StoreUnavailable] == list(map(type, refused))
    assert [998] == [getattr(state, "remaining", state) for state in after]
    await asyncio.wait_for(limiter.aclose(), 3 * TIMEOUT_S)


async def test_a_store_that_was_one_behind_for_a_while_serves_again(
    store: RedisStore, odd: OddStore
) -> None:
    """Whatever was under way when it began and when it ended."""
    limiter = RedisLimiter(store, LocalLimiter())
    odd.manner = behind
    until_s = time.monotonic() + 0.3
    while time.monotonic() < until_s:
        await _settled(limiter.spend(LIMIT, "a"), store.get("a"))
    await _heals(store, odd)

    assert [None] == await _settled(store.get("a"))
    assert getattr((await _settled(limiter.spend(LIMIT, "b")))[0], "allowed", False)


async def test_a_close_ends_in_time_while_nothing_is_answered(
    store: RedisStore, odd: OddStore
) -> None:
    """What waits is refused, and the close returns."""
    odd.manner = nothing
    waiting = asyncio.ensure_future(store.get("a"))
    await asyncio.sleep(0)

    await asyncio.wait_for(store.aclose(), 3 * TIMEOUT_S)

    with pytest.raises(StoreUnavailable):
        await waiting
