"""What the port `Directory` promises, over fakeredis, Valkey and Redis."""

import asyncio
import time
from typing import Any

import orjson
import pytest
from redis.asyncio import Redis

from gateway.core.errors import MagicUnavailable, StoreUnavailable
from gateway.core.identity import User
from gateway.store.connect import redis_client as connect
from gateway.store.redis import RedisStore
from gateway.users.directory import RETRY_S, CachedDirectory, key_of
from gateway.users.metadata import Record, RecordLifetimes, RecordSealer
from tests.fakes.memory import FakeClock
from tests.fakes.servers import RealServer
from tests.fakes.tokens import ALICE, BOB

ADA = User(ALICE.issuer, "ada@example.com", ALICE.address)
KEY = "gw:" + key_of(ADA.issuer)
TTL_S, STALE_S = 3600.0, 600.0
SEALS = RecordSealer([b"k" * 32])
SOON_S = 10.0


class Source:
    """Magic, as far as a directory sees it."""

    def __init__(self) -> None:
        self.users = {ADA.issuer: ADA}
        self.asked: list[str] = []
        self.is_down = False

    async def user(self, issuer: str) -> User | None:
        self.asked.append(issuer)
        if self.is_down:
            raise MagicUnavailable("down")
        return self.users.get(issuer)


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def clock() -> FakeClock:
    """Of the gateways: the server's own goes on by itself."""
    return FakeClock(time.time())


def made(store: RedisStore, source: Source, clock: FakeClock) -> CachedDirectory:
    """As one gateway has it."""
    return CachedDirectory(source, store, SEALS, RecordLifetimes(TTL_S, STALE_S), clock=clock)


async def email(directory: CachedDirectory) -> str | None:
    """What is known of Ada."""
    user = await directory.user(ADA.issuer)
    return None if user is None else user.email


async def members(client: Redis) -> dict[str, Any]:
    """Ada's record, as an app reads it."""
    text = await client.get(KEY)
    assert text is not None
    return dict(orjson.loads(text))


async def test_magic_is_asked_once_for_all(
    store: RedisStore, client: Redis, source: Source, clock: FakeClock
) -> None:
    """The record is JSON for apps, and the store itself ends it."""
    first, second = made(store, source, clock), made(store, source, clock)
    assert ADA == await first.user(ADA.issuer)
    assert ADA == await second.user(ADA.issuer)
    assert [ADA.issuer] == source.asked

    said = await members(client)
    assert (ADA.issuer, ADA.email) == (said["issuer"], said["email"])
    assert int(clock() * 1000) == said["fetched_at_ms"]
    assert said["fetched_at_ms"] + TTL_S * 1000 == await client.pexpiretime(KEY)


async def test_of_strangers_nothing_is_written(
    store: RedisStore, client: Redis, source: Source, clock: FakeClock
) -> None:
    """Made-up keys must not fill the store."""
    assert await made(store, source, clock).user(BOB.issuer) is None
    assert [] == await client.keys("*")


async def test_who_is_no_user_any_more_loses_the_record(
    store: RedisStore, client: Redis, source: Source, clock: FakeClock
) -> None:
    """When Magic is asked again."""
    await made(store, source, clock).user(ADA.issuer)
    source.users.clear()
    clock.now_s += TTL_S
    assert await made(store, source, clock).user(ADA.issuer) is None
    assert 0 == await client.exists(KEY)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"[]", id="no-object"),
        pytest.param(orjson.dumps({"issuer": ADA.issuer, "email": "boss@example.com"}), id="bare"),
        pytest.param(RecordSealer([b"x" * 32]).encode(Record(ADA, 2**50)), id="sealed-by-others"),
        pytest.param(SEALS.encode(Record(User(BOB.issuer), 2**50)), id="of-another-user"),
    ],
)
async def test_a_record_that_no_gateway_wrote_is_none(
    store: RedisStore, client: Redis, source: Source, clock: FakeClock, text: bytes
) -> None:
    """Magic is asked, and its answer takes the place of what was there."""
    await client.set(KEY, text)
    assert "ada@example.com" == await email(made(store, source, clock))
    assert [ADA.issuer] == source.asked
    assert "ada@example.com" == (await members(client))["email"]


async def test_one_of_all_gateways_asks_anew(
    store: RedisStore, client: Redis, source: Source, clock: FakeClock
) -> None:
    """A record near its end is served, and refreshed from Magic in the background."""
    directories = [made(store, source, clock) for _ in range(5)]
    await directories[0].user(ADA.issuer)
    source.users[ADA.issuer] = User(ADA.issuer, "new@example.com", ALICE.address)
    clock.now_s += TTL_S * 0.9
    assert ["ada@example.com"] * 5 == await asyncio.gather(*map(email, directories))
    async with asyncio.timeout(SOON_S):
        while (await members(client))["email"] != "new@example.com":
            await asyncio.sleep(0)
    assert [ADA.issuer] * 2 == source.asked
    clock.now_s += 2
    assert ["new@example.com"] * 5 == await asyncio.gather(*map(email, directories))
    for directory in directories:
        await directory.aclose()
    mark_ends_ms = await client.pexpiretime(f"gw:refreshing:{ADA.issuer}")
    assert mark_ends_ms == int((clock() - 2 + RETRY_S) * 1000)


async def test_a_record_outlives_magics_absence(
    store: RedisStore, client: Redis, source: Source, clock: FakeClock
) -> None:
    """What is older than its life is served while Magic does not answer, for so long."""
    directory = made(store, source, clock)
    await directory.user(ADA.issuer)
    source.is_down = True
    clock.now_s += TTL_S + STALE_S - 1
    assert "ada@example.com" == await email(made(store, source, clock))
    clock.now_s += 2
    with pytest.raises(MagicUnavailable):
        await made(store, source, clock).user(ADA.issuer)


async def test_a_store_that_is_gone(
    mortal_server: RealServer, source: Source, clock: FakeClock
) -> None:
    """Known users are served from memory; Magic is not asked instead of the store."""
    store = RedisStore(connect(mortal_server.url, 1.0), "gw:", 1.0)
    directory = made(store, source, clock)
    await directory.user(ADA.issuer)
    mortal_server.kill()
    clock.now_s += 2
    assert "ada@example.com" == await email(directory)
    with pytest.raises(StoreUnavailable):
        await directory.user(BOB.issuer)
    assert [ADA.issuer] == source.asked
    await store.aclose()
