"""Stores that are reached over the REST API of Upstash."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing

import pytest

from gateway.core.errors import StoreUnavailable
from gateway.core.ports import Script
from gateway.core.replies import is_texts
from gateway.store.connect import redis_client
from gateway.store.redis import RedisStore
from gateway.store.rest_server import RestStoreServer
from gateway.store.server import StoreOptions
from gateway.util.background import background
from tests.fakes.servers import RealServer, valkey
from tests.fakes.upstash import TOKENS, rest_server

FAR_MS = 2**42
SEALED = b"\xff\x00 sealed"
KEEP = Script("keep", "redis.call('RPUSH', KEYS[1], ARGV[1]) return {ARGV[1], 'text'}", is_texts)
READ = Script("read", "return redis.call('LRANGE', KEYS[1], 0, -1)", is_texts)


@pytest.fixture(scope="module")
def database() -> Iterator[RealServer]:
    """The store behind the API."""
    with valkey() as server:
        yield server


@pytest.fixture
async def server(database: RealServer) -> AsyncIterator[RestStoreServer]:
    """An API whose database is empty."""
    async with redis_client(database.url, 2) as client:
        await client.flushall()
    async with rest_server(database.url) as server:
        yield server


async def test_store_listener_and_scan_share_a_prefix(
    server: RestStoreServer, database: RealServer
) -> None:
    """What one writes or publishes, the others see; keys of other prefixes they do not."""
    heard, subscribed = asyncio.Queue[bytes](), asyncio.Event()
    store = server.store(lambda: None)
    async with (
        rest_server(database.url, "other:") as foreign,
        background(server.listen("changes", heard.put_nowait, subscribed.set)),
    ):
        other = foreign.store(lambda: None)
        await subscribed.wait()
        for writer in (other, store):
            await writer.publish("changes", b"ours" if writer is store else b"foreign")
            await writer.set("k1", b"v", expires_at_ms=FAR_MS)
        async with aclosing(server.scan("k")) as keys:
            assert {b"gw:k1"} == {key async for key in keys}
        assert b"ours" == await heard.get()
        await other.aclose()
    await store.aclose()


async def test_a_scan_reads_on_until_all_keys_were_seen(
    server: RestStoreServer, database: RealServer
) -> None:
    """One command looks at a thousand."""
    names = {f"gw:k{number}".encode() for number in range(2500)}
    async with redis_client(database.url, 2) as client:
        await client.mset(dict.fromkeys(names, b"v"))

    async with aclosing(server.scan("k")) as keys:
        assert names == {key async for key in keys}


async def test_gateways_over_both_protocols_read_each_other(
    server: RestStoreServer, database: RealServer
) -> None:
    """Values, what scripts are given and what they return, and messages."""
    over_rest, heard = server.store(lambda: None), asyncio.Queue[bytes]()
    over_redis = RedisStore(redis_client(database.url, 2), "gw:", 2)
    subscribed = asyncio.Event()
    for writer, reader in ((over_rest, over_redis), (over_redis, over_rest)):
        await writer.set("k", SEALED, expires_at_ms=FAR_MS)
        assert [SEALED, b"text"] == await writer.run(KEEP, ["list"], [SEALED])
        assert SEALED == await reader.get("k")
        assert (SEALED, None) == await reader.get_pair("k", "none")
    assert [SEALED] * 2 == await over_rest.run(READ, ["list"], [])
    assert [SEALED] * 2 == await over_redis.run(READ, ["list"], [])
    async with background(server.listen("changes", heard.put_nowait, subscribed.set)):
        await subscribed.wait()
        await over_redis.publish("changes", b"user did:ethr:0x1")
        assert b"user did:ethr:0x1" == await heard.get()
    await over_rest.aclose()
    await over_redis.aclose()


async def test_a_token_that_is_refused_is_told_once(
    database: RealServer, caplog: pytest.LogCaptureFixture
) -> None:
    """With the remedy, and without the token."""
    async with rest_server(database.url, token="wrong-token") as server:
        store = server.store(lambda: None)
        with caplog.at_level(logging.WARNING):
            for _ in range(3):
                with pytest.raises(StoreUnavailable):
                    await store.get("k")
        await store.aclose()

    [told] = caplog.messages
    assert "AuthenticationError: the REST API refused the token: set redis.token" in told
    assert "wrong-token" not in told


async def test_a_token_that_reads_only_is_no_token_of_a_gateway(database: RealServer) -> None:
    """It reads; what writes is refused, and the reason says that it may not."""
    async with rest_server(database.url, token=TOKENS.read_only) as server:
        store = server.store(lambda: None)

        assert await store.get("none") is None
        with pytest.raises(StoreUnavailable, match="NoPermissionError"):
            await store.set("k", b"v", expires_at_ms=FAR_MS)
        await store.aclose()


@pytest.mark.parametrize("token", ["wrong-token", TOKENS.read_only])
async def test_a_scan_that_is_refused_is_an_error(database: RealServer, token: str) -> None:
    """It is told as the failure of a store."""
    async with (
        rest_server(database.url, token=token) as server,
        aclosing(server.scan("k")) as keys,
    ):
        with pytest.raises(StoreUnavailable):
            await anext(keys)


async def test_a_scan_of_an_api_that_is_away_is_an_error() -> None:
    """As of any store."""
    server = RestStoreServer(StoreOptions("upstash+http://127.0.0.1:1", "gw:", 0.5))
    async with aclosing(server.scan("k")) as keys:
        with pytest.raises(StoreUnavailable):
            await anext(keys)
