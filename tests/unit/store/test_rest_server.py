"""Stores that are reached over the REST API of Upstash."""

import asyncio
import logging
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing

import orjson
import pytest
from aiohttp import web

from gateway.core.errors import StoreUnavailable
from gateway.core.ports import Script
from gateway.core.replies import is_texts
from gateway.store.connect import redis_client
from gateway.store.redis import RedisStore
from gateway.store.rest_server import RestStoreServer
from gateway.store.server import StoreOptions
from gateway.util.background import background
from tests.fakes.servers import RealServer, eventually, valkey
from tests.fakes.upstash import TOKENS, rest_server

FAR_MS = 2**42
SEALED = b"\xff\x00 sealed"
KEEP = Script("keep", "redis.call('RPUSH', KEYS[1], ARGV[1]) return {false, ARGV[1], 'text', 5}")
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
        assert [None, SEALED, b"text", 5] == await writer.run(KEEP, ["list"], [SEALED])
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


class FaultyApi:
    """Answers a single MGET; ``fault`` says how it fails, if it does."""

    def __init__(self) -> None:
        self.fault = ""
        self.over = asyncio.Event()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        [[_, *keys]] = orjson.loads(await request.read())
        values = [b64encode(key.encode()).decode() for key in keys]
        match self.fault:
            case "500":
                return web.Response(status=500, text="<html>")
            case "hangs":
                await self.over.wait()
            case "reset" if request.transport is not None:
                request.transport.abort()
            case "garbled":
                return web.Response(body=b'[{"result":["\xff')
            case "cut":
                return await self._cut(request)
            case "of-another-command":
                return web.json_response([{"result": 5}])
            case "too-many":
                return web.json_response([{"result": [*values, None]}])
        return web.json_response([{"result": values}])

    async def _cut(self, request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b'[{"result":[')
        if request.transport is not None:
            request.transport.abort()
        return response


@pytest.fixture
async def faulty() -> AsyncIterator[tuple[FaultyApi, str]]:
    """An API that can be told to fail, and its URL."""
    api = FaultyApi()
    server = web.Server(api.answer)
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    yield api, f"upstash+http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    api.over.set()
    listener.close()
    await server.shutdown(1)


@pytest.mark.parametrize(
    ("fault", "is_wrong_reply"),
    [
        pytest.param("500", False, id="500"),
        pytest.param("hangs", False, id="hangs"),
        pytest.param("reset", False, id="reset"),
        pytest.param("cut", False, id="cut"),
        pytest.param("garbled", True, id="garbled"),
        pytest.param("of-another-command", True, id="of-another-command"),
        pytest.param("too-many", True, id="too-many"),
    ],
)
async def test_an_api_that_fails_is_unavailable_until_it_answers(
    faulty: tuple[FaultyApi, str], fault: str, *, is_wrong_reply: bool
) -> None:
    """No reply goes to another caller; answers that are none are counted."""
    api, url = faulty
    wrong = list[bool]()
    server = RestStoreServer(StoreOptions(url, "", 0.2, "token"))
    store = server.store(lambda: wrong.append(True))
    assert b"k0" == await store.get("k0")

    api.fault = fault
    refused = await asyncio.gather(store.get("k1"), store.get("k2"), return_exceptions=True)
    api.fault = ""
    api.over.set()

    async def answers() -> bool:
        try:
            return await store.get("k3") == b"k3"
        except StoreUnavailable:
            return False

    assert [StoreUnavailable] * 2 == list(map(type, refused))
    assert is_wrong_reply == bool(wrong)
    await eventually(answers, within_s=20)
    assert [b"k4", b"k5"] == [await value for value in (store.get("k4"), store.get("k5"))]
    await store.aclose()


async def test_a_caller_that_leaves_leaves_no_answer_to_others(server: RestStoreServer) -> None:
    """Wherever it is broken off."""
    store = server.store(lambda: None)
    names = [f"k{number}" for number in range(8)]
    await asyncio.gather(*(store.set(name, name.encode(), expires_at_ms=FAR_MS) for name in names))
    for turns in range(8):
        leaving = asyncio.ensure_future(store.get("k0"))
        for _ in range(turns):
            await asyncio.sleep(0)
        leaving.cancel()

        assert [name.encode() for name in names] == [await store.get(name) for name in names]
    await store.aclose()
