"""The HTTP server: its bounds, its event streams, and what it does while the store is gone."""

import asyncio
import socket
from collections.abc import AsyncIterator
from functools import partial
from io import BytesIO
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import ClientConnectionError, ClientError, ClientResponse, ClientSession, ClientTimeout
from redis.asyncio import Redis

from gateway.core.errors import StartError
from gateway.upstash import answer
from gateway.upstash import link as link_module
from gateway.upstash import server as module
from gateway.upstash.call import MAX_BODY_BYTES
from gateway.upstash.server import RestTokens, serving
from tests.fakes.servers import RealServer, eventually, valkey
from tests.fakes.upstash import TOKENS, RestDatabase, rest_database

pytestmark = pytest.mark.asyncio(loop_scope="module")

WITHIN_S = 20

EVENTS = {"Accept": "text/event-stream"}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def database() -> AsyncIterator[RestDatabase]:
    async with rest_database() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def client(database: RestDatabase) -> AsyncIterator[ClientSession]:
    """A client with the standard token."""
    async with _client(database.url) as session:
        yield session


def _client(url: str) -> ClientSession:
    return ClientSession(
        url,
        headers={"Authorization": f"Bearer {TOKENS.standard}"},
        timeout=ClientTimeout(total=20),
    )


async def _result(client: ClientSession, *words: object) -> Any:
    async with client.post("/", json=words) as response:
        return (await response.json()).get("result")


async def _event(response: ClientResponse) -> bytes:
    return await response.content.readuntil(b"\n\n")


async def test_tokens_do_not_show() -> None:
    """Not in a traceback; no other text is one of them."""
    assert "RestTokens()" == repr(TOKENS)
    assert ["rest", "default_ro", None, None, None] == [
        TOKENS.user_of(text) for text in ("standard-token", "read-only-token", "é", "", None)
    ]


async def test_every_answer_has_another_sync_token(client: ClientSession) -> None:
    """What a client sends back is taken, whatever it is."""
    seen = set()
    for sent in ("", "of another server"):
        async with client.get("/ping", headers={"Upstash-Sync-Token": sent}) as response:
            assert 200 == response.status
            seen.add(response.headers["upstash-sync-token"])
    assert 2 == len(seen)


async def test_bodies_are_bounded(client: ClientSession) -> None:
    """With a length or without; what is allowed is stored byte by byte."""
    body = bytes(range(256)) * (MAX_BODY_BYTES // 256)

    async def parts() -> AsyncIterator[bytes]:
        yield body
        yield b"x"

    async with client.post("/set/long", data=BytesIO(body)) as response:
        assert 200 == response.status
    assert MAX_BODY_BYTES == await _result(client, "STRLEN", "long")
    for sent in (BytesIO(body + b"x"), parts()):
        try:
            async with client.post("/set/long", data=sent) as response:
                assert 413 == response.status
                assert (await response.json())["error"] == answer.too_large(len(body) + 1).message
        except ClientConnectionError:
            pass  # closed before all of it was sent
    assert MAX_BODY_BYTES == await _result(client, "STRLEN", "long")


async def test_a_client_that_asks_first_is_told_to_go_on(database: RestDatabase) -> None:
    """100 before the body is sent; a token that is wrong is refused instead."""
    port = int(database.url.rpartition(":")[2])
    for token, first in ((TOKENS.standard, b"HTTP/1.1 100 "), ("wrong", b"HTTP/1.1 401 ")):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nExpect: 100-continue\r\n"
            b"Authorization: Bearer %b\r\nContent-Length: 8\r\n\r\n" % token.encode()
        )
        assert (await reader.readline()).startswith(first)
        if token == TOKENS.standard:
            await reader.readline()
            writer.write(b'["PING"]')
            assert b"HTTP/1.1 200 OK\r\n" == await reader.readline()
            assert (await reader.readuntil(b"}")).endswith(b'{"result":"PONG"}')
        writer.close()
        await writer.wait_closed()


async def test_answers_are_bounded(client: ClientSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that Upstash would refuse, and those that are not even read to their end."""
    long = BytesIO(b"x" * (MAX_BODY_BYTES - 100))
    async with client.post("/set/long", data=long) as response:
        assert 200 == response.status
    async with client.get("/get/long") as response:
        assert 200 == response.status
    async with client.get("/mget/long/long") as response:
        assert 413 == response.status
        assert "max request size exceeded" in (await response.json())["error"]
    monkeypatch.setattr(link_module, "MAX_REPLY_BYTES", 1000)
    async with rest_database() as other, _client(other.url) as small:
        async with small.post("/pipeline", json=[["PING"]] * 200) as response:
            assert 413 == response.status
        assert "PONG" == await _result(small, "PING")


async def test_a_body_that_does_not_arrive_is_refused(
    client: ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the deadline."""
    monkeypatch.setattr(module, "BODY_S", 0.01)
    gate = asyncio.Event()

    async def never() -> AsyncIterator[bytes]:
        yield b"["
        await gate.wait()

    async with client.post("/", data=never()) as response:
        assert (408, answer.BODY_TIMED_OUT[1]) == (
            response.status,
            (await response.json())["error"],
        )
    gate.set()


async def test_a_client_that_does_not_read_its_answer_is_disconnected(
    database: RestDatabase, client: ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the deadline; what it read until then is no whole answer."""
    async with client.post("/set/long", data=BytesIO(b"x" * MAX_BODY_BYTES)) as response:
        assert 200 == response.status
    monkeypatch.setattr(module, "ANSWER_S", 0)  # passes when the server first has to wait
    with socket.socket() as line:
        line.setsockopt(
            socket.SOL_SOCKET, socket.SO_RCVBUF, 200_000
        )  # the kernel cannot hold it all
        line.setblocking(False)
        port = int(database.url.rpartition(":")[2])
        await asyncio.get_running_loop().sock_connect(line, ("127.0.0.1", port))
        reader, writer = await asyncio.open_connection(sock=line)
        target = f"/getrange/long/0/9000000?_token={TOKENS.standard}"
        writer.write(f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        assert b"HTTP/1.1 200 OK\r\n" == await reader.readline()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(9_000_000)
        writer.close()
    assert "PONG" == await _result(client, "PING")


async def test_connections_are_bounded(
    database: RestDatabase, client: ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One beyond the limit is closed; when another one has ended, there is room again."""
    async with client.get("/ping") as response:
        assert 200 == response.status
    monkeypatch.setattr(module, "MAX_CONNECTIONS", 1)
    async with _client(database.url) as other:
        with pytest.raises(ClientConnectionError):
            await other.get("/ping")
        await client.close()
        await eventually(partial(_answers, other), within_s=WITHIN_S)


async def _answers(client: ClientSession) -> bool:
    try:
        async with client.get("/ping") as response:
            return response.status == 200
    except ClientConnectionError:
        return False


async def test_a_subscriber_hears_what_is_published(client: ClientSession) -> None:
    """In order, by channel and by pattern; an event of several lines stays one."""
    async with (
        client.post("/subscribe/chat/news", json=[], headers=EVENTS) as channels,
        client.post("/psubscribe/ch*", headers=EVENTS) as patterns,
    ):
        assert ("text/event-stream", "no-cache") == (
            channels.headers["Content-Type"],
            channels.headers["Cache-Control"],
        )
        assert b"data: subscribe,chat,1\n\n" == await _event(channels)
        assert b"data: subscribe,news,2\n\n" == await _event(channels)
        assert b"data: psubscribe,ch*,1\n\n" == await _event(patterns)
        assert 2 == await _result(client, "PUBLISH", "chat", "a,b\nc")
        assert 1 == await _result(client, "PUBLISH", "news", "é")
        assert b"data: message,chat,a,b\ndata: c\n\n" == await _event(channels)
        assert "data: message,news,é\n\n".encode() == await _event(channels)
        assert b"data: pmessage,ch*,chat,a,b\ndata: c\n\n" == await _event(patterns)


async def test_a_subscriber_that_leaves_is_forgotten(client: ClientSession) -> None:
    """At once, though nothing is published."""
    async with client.post("/subscribe/left", headers=EVENTS) as response:
        await _event(response)
        assert ["left", 1] == await _result(client, "PUBSUB", "NUMSUB", "left")
        response.close()

    async def is_forgotten() -> bool:
        return bool(["left", 0] == await _result(client, "PUBSUB", "NUMSUB", "left"))

    await eventually(is_forgotten, within_s=WITHIN_S)


async def test_the_monitor_shows_commands(client: ClientSession) -> None:
    """Without the commands by which the server itself connects, and without its paths."""
    async with client.post("/monitor", headers=EVENTS) as response:
        assert b'data: "OK"\n\n' == await _event(response)
        for _ in range(2):
            async with client.post("/subscribe/x", headers=EVENTS) as other:
                await _event(other)
        await _result(client, "SET", "k", "v")
        seen = [await _event(response) for _ in range(3)]
    assert [b'"SUBSCRIBE" "x"\n\n'] * 2 + [b'"SET" "k" "v"\n\n'] == [
        line.partition(b" [0 0.0.0.0:0] ")[2] for line in seen
    ]


async def test_streams_are_bounded(client: ClientSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """One beyond the limit is refused; the place of one that left is free again."""
    monkeypatch.setattr(module, "MAX_STREAMS", 1)
    await eventually(partial(_can_subscribe, client), within_s=WITHIN_S)
    async with client.post("/subscribe/a", headers=EVENTS) as first:
        await _event(first)
        async with client.post("/subscribe/b", headers=EVENTS) as second:
            assert (400, {"error": answer.TOO_MANY_STREAMS[1]}) == (
                second.status,
                await second.json(),
            )
    await eventually(partial(_can_subscribe, client), within_s=WITHIN_S)


async def _can_subscribe(client: ClientSession) -> bool:
    async with client.post("/subscribe/a", headers=EVENTS) as response:
        return response.status == 200


async def test_a_subscriber_that_does_not_read_is_disconnected(
    client: ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it misses does not look like a clean end."""
    monkeypatch.setattr(module, "EVENT_S", 0.05)
    async with client.post("/subscribe/slow", headers=EVENTS) as response:
        await _event(response)

        async def is_gone() -> bool:
            for _ in range(8):
                await _result(client, "PUBLISH", "slow", "x" * 1_000_000)
            return bool(["slow", 0] == await _result(client, "PUBSUB", "NUMSUB", "slow"))

        await eventually(is_gone, within_s=WITHIN_S)
        with pytest.raises(ClientError):
            await response.content.read()


async def test_a_store_that_is_gone_is_told_and_waited_for() -> None:
    """503 while it is gone; a subscriber's stream breaks off; then all is as before."""
    with valkey() as store:
        socket_path = store.url.removeprefix("unix://")
        async with (
            serving(socket_path, TOKENS, 0) as port,
            _client(f"http://127.0.0.1:{port}") as client,
        ):
            assert "OK" == await _result(client, "SET", "a", "1")
            async with client.post("/subscribe/chat", headers=EVENTS) as stream:
                await _event(stream)
                store.kill()
                with pytest.raises(ClientError):
                    await _event(stream)
            for path, headers in (("/get/a", {}), ("/subscribe/chat", EVENTS)):
                async with client.post(path, headers=headers) as response:
                    said = response.status, await response.json()
                assert (503, {"error": answer.STORE_UNAVAILABLE[1]}) == said
            store.start()
            assert "OK" == await _result(client, "SET", "a", "1")


async def test_a_store_that_hangs_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, stopped: RealServer
) -> None:
    """Each wait has a deadline."""
    monkeypatch.setattr(link_module, "EXCHANGE_S", 0.05)
    monkeypatch.setattr(module, "EXCHANGE_S", 0.05)
    async with (
        serving(stopped.url.removeprefix("unix://"), TOKENS, 0) as port,
        _client(f"http://127.0.0.1:{port}") as client,
    ):
        for path in ("/get/a", "/subscribe/a"):
            async with client.post(path, headers=EVENTS) as response:
                assert 503 == response.status


@pytest_asyncio.fixture(loop_scope="module")
async def stopped() -> AsyncIterator[RealServer]:
    """A store that accepts connections, and answers nothing."""
    with valkey() as store:
        store.pause()
        yield store
        store.resume()


async def test_a_port_that_is_taken_is_said(database: RestDatabase) -> None:
    """With what to do."""
    port = int(database.url.rpartition(":")[2])
    with pytest.raises(StartError, match=rf"127\.0\.0\.1:{port}: .*--port 0"):
        async with serving(database.socket_path, RestTokens("a", "b"), port):
            pass


async def test_the_store_is_the_one_behind_it(
    database: RestDatabase, client: ClientSession
) -> None:
    """What is written over REST is read by a Redis client, and the other way."""
    redis = Redis(unix_socket_path=database.socket_path)
    await _result(client, "SET", "a", "é")
    assert "é".encode() == await redis.get("a")
    await redis.set("b", b"\xff")
    async with client.get("/get/b", headers={"Upstash-Encoding": "base64"}) as response:
        assert {"result": "/w=="} == await response.json()
    await redis.aclose()
