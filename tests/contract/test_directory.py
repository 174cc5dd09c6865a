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
from gateway.users.directory import RETRY_S, CachedDirectory
from gateway.users.known import KnownSealer, known_key
from gateway.users.metadata import Record, RecordLifetimes
from gateway.users.records import UserRecords, key_of
from tests.fakes.memory import FakeClock
from tests.fakes.servers import RealServer
from tests.fakes.tokens import ALICE, BOB
from tests.fakes.users import record_before

ADA = User(ALICE.issuer, "ada@example.com", ALICE.address)
KEY = "gw:" + key_of(ADA.issuer)
KNOWN_KEY = "gw:" + known_key(ADA.issuer)
TTL_S, STALE_S = 3600.0, 600.0
SERVER_KEYS = [b"k" * 32]
PROOF_S = 900
SOON_S = 10.0


class Source:
    """Magic, as far as a directory sees it."""

    def __init__(self) -> None:
        self.users = {ADA.issuer: ADA}
        self.asked: list[str] = []
        self.is_down = False
        self.gate: asyncio.Event | None = None
        """If set, answers wait for it."""

    async def user(self, issuer: str) -> User | None:
        self.asked.append(issuer)
        if self.gate is not None:
            await self.gate.wait()
        if self.is_down:
            raise MagicUnavailable("down")
        return self.users.get(issuer)


def sealed(user: User, server_keys: list[bytes] = SERVER_KEYS) -> bytes:
    """The record that gateways keep."""
    return KnownSealer(server_keys).encode(Record(user, 2**50), b"n" * 12)


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def clock() -> FakeClock:
    """Of the gateways: the server's own goes on by itself."""
    return FakeClock(time.time())


def made(store: RedisStore, source: Source, clock: FakeClock) -> CachedDirectory:
    """As one gateway has it."""
    records = UserRecords(store, SERVER_KEYS)
    return CachedDirectory(source, records, RecordLifetimes(TTL_S, STALE_S), clock=clock)


async def proven(directory: CachedDirectory, ends_at_ms: int) -> User | None:
    """Ada, who has proven to be herself."""
    stored = await directory.read(ADA.issuer)
    user = await directory.user(ADA.issuer, stored)
    await directory.proven(ADA.issuer, ends_at_ms, stored)
    return user


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
    """What gateways know is not what apps read; the store itself ends both."""
    first, second = made(store, source, clock), made(store, source, clock)
    ends_at_ms = int(clock() + PROOF_S) * 1000
    assert ADA == await proven(first, ends_at_ms)
    assert ADA == await second.user(ADA.issuer)
    assert [ADA.issuer] == source.asked

    said = await members(client)
    assert (ADA.issuer, ADA.email) == (said["issuer"], said["email"])
    fetched_at_ms = int(clock() * 1000)
    assert (fetched_at_ms, ends_at_ms) == (said["gateway"]["fetchedAt"], said["gateway"]["until"])
    assert ends_at_ms == await client.pexpiretime(KEY)
    assert fetched_at_ms + (TTL_S + STALE_S) * 1000 == await client.pexpiretime(KNOWN_KEY)


async def test_what_apps_read_ends_with_the_last_proof(
    store: RedisStore, client: Redis, source: Source, clock: FakeClock
) -> None:
    """An earlier end of another proof changes nothing, nor does a refresh."""
    directory, ends_at_ms = made(store, source, clock), 0
    for after_s, last_s in ((300, 300), (900, 900), (600, 900)):
        await proven(directory, int((clock() + after_s) * 1000))
        ends_at_ms = int((clock() + last_s) * 1000)
        assert ends_at_ms - 2 <= await client.pexpiretime(KEY) <= ends_at_ms + 2
    await directory.learn(User(ADA.issuer, "new@example.com"))
    said = await members(client)
    assert "new@example.com" == said["email"]
    assert ends_at_ms - 2 <= said["gateway"]["until"] == await client.pexpiretime(KEY)


async def test_without_a_proof_apps_read_nothing(
    store: RedisStore, client: Redis, source: Source, clock: FakeClock
) -> None:
    """Nor after one that is over."""
    directory = made(store, source, clock)
    assert ADA == await directory.user(ADA.issuer)
    await directory.learn(ADA)
    await directory.proven(ADA.issuer, int((clock() - 5) * 1000))
    assert 0 == await client.exists(KEY)
    assert 1 == await client.exists(KNOWN_KEY)


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
    await proven(made(store, source, clock), int((clock() + 2 * TTL_S) * 1000))
    assert 2 == await client.exists(KEY, KNOWN_KEY)
    source.users.clear()
    clock.now_s += TTL_S
    assert await made(store, source, clock).user(ADA.issuer) is None
    assert [] == await client.keys("*")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"[]", id="no-object"),
        pytest.param(orjson.dumps({"issuer": ADA.issuer, "email": "boss@example.com"}), id="bare"),
        pytest.param(sealed(ADA, [b"x" * 32]), id="sealed-by-others"),
        pytest.param(sealed(User(BOB.issuer)), id="of-another-user"),
    ],
)
async def test_a_record_that_no_gateway_wrote_is_none(
    store: RedisStore, client: Redis, source: Source, clock: FakeClock, text: bytes
) -> None:
    """Magic is asked, and its answer takes the place of what was there."""
    await client.set(KNOWN_KEY, text)
    assert "ada@example.com" == await email(made(store, source, clock))
    assert [ADA.issuer] == source.asked
    assert text != await client.get(KNOWN_KEY)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"[]", id="no-object"),
        pytest.param(orjson.dumps({"issuer": ADA.issuer, "email": "boss@example.com"}), id="bare"),
        pytest.param(orjson.dumps({"issuer": ADA.issuer, "gateway": "sealed"}), id="a-like-name"),
    ],
)
async def test_a_record_that_an_app_wrote_makes_no_user_and_stays(
    store: RedisStore, client: Redis, source: Source, clock: FakeClock, text: bytes
) -> None:
    """Magic decides; what the gateways learn stands beside it, and the app reads its own."""
    await client.set(KEY, text)
    directory, ends_at_ms = made(store, source, clock), int((clock() + PROOF_S) * 1000)
    assert ADA == await proven(directory, ends_at_ms)
    await directory.learn(User(ADA.issuer, "new@example.com"))
    await directory.proven(ADA.issuer, ends_at_ms)
    assert ([ADA.issuer], text) == (source.asked, await client.get(KEY))

    source.users.clear()
    clock.now_s += TTL_S
    assert await made(store, source, clock).user(ADA.issuer) is None
    assert text == await client.get(KEY)
    assert not await UserRecords(store, SERVER_KEYS).drop(ADA.issuer)

    source.users[ADA.issuer] = ADA
    await client.delete(KEY)
    await proven(made(store, source, clock), ends_at_ms)
    assert ADA.email == (await members(client))["email"]


async def test_a_key_of_another_type_stays(
    store: RedisStore, client: Redis, source: Source, clock: FakeClock
) -> None:
    """An app may keep a hash of its own there."""
    await client.hset(KEY, "plan", "gold")
    assert ADA == await proven(made(store, source, clock), int((clock() + PROOF_S) * 1000))
    assert not await UserRecords(store, SERVER_KEYS).drop(BOB.issuer)
    assert await UserRecords(store, SERVER_KEYS).drop(ADA.issuer)
    assert {b"plan": b"gold"} == await client.hgetall(KEY)


async def test_a_record_of_the_previous_version_is_read_until_it_ends(
    store: RedisStore, client: Redis, source: Source, clock: FakeClock
) -> None:
    """It makes a user without a call to Magic; the next proof brings both records of today."""
    before = record_before(ADA, int(clock() * 1000), SERVER_KEYS[0])
    await client.set(KEY, before, px=int(TTL_S * 1000))
    assert ADA == await made(store, source, clock).user(ADA.issuer)
    assert 1 == await client.exists(KNOWN_KEY)
    await client.delete(KNOWN_KEY)
    await client.set(KEY, before, px=60_000)
    ends_at_ms = int((clock() + PROOF_S) * 1000)
    assert ADA == await proven(made(store, source, clock), ends_at_ms)
    assert [] == source.asked
    assert 1 == await client.exists(KNOWN_KEY)
    assert ends_at_ms == (await members(client))["gateway"]["until"]


async def test_one_of_all_gateways_asks_magic(
    store: RedisStore, client: Redis, source: Source, clock: FakeClock
) -> None:
    """The others wait for what it writes; the lease is given back."""
    source.gate = asyncio.Event()
    directories = [made(store, source, clock) for _ in range(5)]
    looked_up = asyncio.gather(*map(email, directories))
    async with asyncio.timeout(SOON_S):
        while not source.asked:
            await asyncio.sleep(0)
    source.gate.set()
    assert ["ada@example.com"] * 5 == await looked_up
    assert [ADA.issuer] == source.asked
    assert [KNOWN_KEY.encode()] == await client.keys("*")


async def test_a_gateway_that_dies_while_it_asks_holds_the_others_up_for_seconds(
    store: RedisStore, client: Redis, source: Source, clock: FakeClock
) -> None:
    """Its lease ends by itself, and they ask Magic."""
    lease = "gw:asking:" + ADA.issuer
    await client.set(lease, b"1", px=50)
    assert "ada@example.com" == await email(made(store, source, clock))
    assert [ADA.issuer] == source.asked


async def test_one_of_all_gateways_asks_anew(
    store: RedisStore, client: Redis, source: Source, clock: FakeClock
) -> None:
    """A record near its end is served, and refreshed from Magic in the background."""
    directories = [made(store, source, clock) for _ in range(5)]
    await proven(directories[0], int((clock() + 2 * TTL_S) * 1000))
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
