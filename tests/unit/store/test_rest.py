"""Exchanges over the REST API of a store."""

import asyncio
import re
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import orjson
import pytest
from aiohttp import web
from redis.exceptions import (
    AuthenticationError,
    InvalidResponse,
    NoScriptError,
    ReadOnlyError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError

from gateway.store import rest
from gateway.store.batch import WrongReply
from gateway.store.quota import QuotaExceeded
from gateway.store.rest import RestLines, decode_replies

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Api:
    """Answers as it is told, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str], Any]] = []
        self.status = 200
        self.body: bytes = b'[{"result":"OK"}]'
        self.fields: dict[str, str] = {}
        self.is_silent = False
        self.released = asyncio.Event()

    async def answer(self, request: web.Request) -> web.Response:
        body = orjson.loads(await request.read())
        self.asked.append((request.path, dict(request.headers), body))
        if self.is_silent:
            await self.released.wait()
        return web.Response(status=self.status, body=self.body, headers=self.fields)


@pytest.fixture
async def api() -> Api:
    """A server's part of the exchanges, made where a loop runs."""
    return Api()


@pytest.fixture
async def lines(api: Api) -> AsyncIterator[RestLines]:
    """Exchanges with a server on loopback."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", api.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    lines = RestLines(f"http://127.0.0.1:{port}", "secret", 5)
    yield lines
    api.released.set()
    await lines.aclose()
    await runner.cleanup()


def _no_check(_replies: Sequence[Any]) -> bool:
    return False


async def test_commands_travel_together_as_json(api: Api, lines: RestLines) -> None:
    """Bytes that are no text are armoured, and the token goes along."""
    api.body = b'[{"result":["YQ==",null]},{"result":"OK"}]'
    commands = [("MGET", b"k1", b"k2"), ("SET", b"k", b"\xff\x00", "PXAT", 17)]

    replies = await lines.execute(commands, _no_check)

    [(path, fields, body)] = api.asked
    assert [[b"a", None], b"OK"] == replies
    assert "/pipeline" == path
    assert [["MGET", "k1", "k2"], ["SET", "k", "data:;base64,/wA=", "PXAT", 17]] == body
    assert ("Bearer secret", "base64") == (fields["Authorization"], fields["Upstash-Encoding"])
    assert "identity" == fields["Accept-Encoding"]  # what is compressed would not be read


async def test_what_was_written_is_read_whichever_replica_answers(
    api: Api, lines: RestLines
) -> None:
    """The sync token of an answer goes with the next request; one that is too long does not."""
    api.fields = {"upstash-sync-token": "abc"}
    await lines.execute([("PING",)], _no_check)
    api.fields = {"upstash-sync-token": "x" * 5000}
    await lines.execute([("PING",)], _no_check)
    await lines.execute([("PING",)], _no_check)

    assert [None, "abc", None] == [fields.get("upstash-sync-token") for _, fields, _ in api.asked]


async def test_a_read_does_not_take_the_place_of_a_write(api: Api, lines: RestLines) -> None:
    """A replica may answer it with a token from before the write."""
    api.fields = {"upstash-sync-token": "of-the-write"}
    api.body = b'[{"result":"OK"},{"result":[null]}]'
    await lines.execute([("SET", b"k", b"v"), ("MGET", b"k")], _no_check)
    api.fields = {"upstash-sync-token": "of-a-read"}
    api.body = b'[{"result":[null]}]'
    await lines.execute([("MGET", b"k")], _no_check)
    await lines.execute([("MGET", b"k")], _no_check)

    assert [None, "of-the-write", "of-the-write"] == [
        fields.get("upstash-sync-token") for _, fields, _ in api.asked
    ]


@pytest.mark.parametrize(
    ("status", "body", "error", "told"),
    [
        pytest.param(
            401,
            b'{"error":"WRONGPASS invalid or missing auth token"}',
            AuthenticationError,
            "the REST API refused the token: set redis.token (or the variable that it is read"
            " from) to the REST token of this database, not a read-only one",
            id="token",
        ),
        pytest.param(
            400,
            b'{"error":"ERR max daily request limit exceeded. Limit: 10000"}',
            QuotaExceeded,
            "max daily request limit exceeded",
            id="quota",
        ),
        pytest.param(
            400,
            b'{"error":"ERR max request size exceeded"}',
            RedisConnectionError,
            "status 400: ERR max request size exceeded",
            id="too-large",
        ),
        pytest.param(500, b"<html>", RedisConnectionError, "status 500", id="proxy"),
        pytest.param(503, b"[]", RedisConnectionError, "status 503", id="json-of-another-shape"),
        pytest.param(302, b"", RedisConnectionError, "status 302", id="redirect"),
        pytest.param(200, b"<html>", InvalidResponse, "no JSON", id="no-json"),
        pytest.param(200, b"[]", WrongReply, "pipeline", id="too-few"),
        pytest.param(200, b'{"result":"OK"}', WrongReply, "pipeline", id="no-list"),
    ],
)
async def test_an_answer_that_is_none_fails_the_batch(
    api: Api, lines: RestLines, status: int, body: bytes, error: type[Exception], told: str
) -> None:
    """And nothing is asked of where a redirect leads: it would be told the token."""
    api.status, api.body = status, body
    api.fields = {"Location": "/elsewhere"} if status == 302 else {}

    with pytest.raises(error) as raised:
        await lines.execute([("PING",)], _no_check)

    assert told == str(raised.value)
    assert 1 == len(api.asked)


async def test_an_answer_may_not_be_too_long(
    api: Api, lines: RestLines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would fill the memory."""
    monkeypatch.setattr(rest, "MAX_ANSWER_BYTES", 100)
    api.body = b" " * 101

    with pytest.raises(InvalidResponse, match="too long"):
        await lines.execute([("PING",)], _no_check)


async def test_an_api_that_does_not_answer_is_given_up(api: Api, lines: RestLines) -> None:
    """Within the time-out; the connection is not used again."""
    api.is_silent = True
    lines._timeout_s = 0.05

    with pytest.raises(RedisConnectionError):
        await lines.execute([("PING",)], _no_check)


async def test_an_api_that_is_not_there_fails_the_batch() -> None:
    """With the error of a connection, as over the Redis protocol; it names the host."""
    lines = RestLines("http://127.0.0.1:1", "secret", 5)

    with pytest.raises(RedisConnectionError, match="host 127"):
        await lines.execute([("PING",)], _no_check)
    await lines.aclose()


@pytest.mark.parametrize(
    ("result", "reply"),
    [
        pytest.param({"result": None}, None, id="nil"),
        pytest.param({"result": "OK"}, b"OK", id="the-status-ok"),
        pytest.param({"result": "T0s="}, b"OK", id="a-stored-ok"),
        pytest.param({"result": ""}, b"", id="empty"),
        pytest.param({"result": "/wA="}, b"\xff\x00", id="bytes-of-another-gateway"),
        pytest.param(
            {"result": "ZGF0YTo7YmFzZTY0LC93QT0="},
            b"data:;base64,/wA=",
            id="armoured-by-another-gateway",
        ),
        pytest.param({"result": 2**53 + 1}, 2**53 + 1, id="integer"),
        pytest.param({"result": [1, "YQ==", [None, "OK"]]}, [1, b"a", [None, b"OK"]], id="nested"),
        pytest.param({"result": []}, [], id="no-values"),
    ],
)
def test_replies_are_exact(result: object, reply: object) -> None:
    """As the Redis protocol has them."""
    assert [reply] == decode_replies(orjson.dumps([result]), 1)


@pytest.mark.parametrize(
    ("text", "kind", "told"),
    [
        pytest.param("ERR syntax error", ResponseError, "ERR syntax error", id="err"),
        pytest.param(
            "NOSCRIPT No matching script.", NoScriptError, "No matching script.", id="noscript"
        ),
        pytest.param("READONLY You can't write", ReadOnlyError, "You can't write", id="readonly"),
        pytest.param("NOAUTH x", AuthenticationError, "x", id="noauth"),
    ],
)
def test_an_error_stands_in_place_of_its_reply(text: str, kind: type[Exception], told: str) -> None:
    """Those of other commands are good."""
    good, error = decode_replies(orjson.dumps([{"result": 1}, {"error": text}]), 2)

    assert (1, kind, told) == (good, type(error), str(error))


@pytest.mark.parametrize(
    "result",
    [
        pytest.param({"result": "a"}, id="no-base64"),
        pytest.param({"result": {"a": 1}}, id="mapping"),
        pytest.param({"result": True}, id="truth"),
        pytest.param({"result": 1.5}, id="float"),
        pytest.param({}, id="neither"),
        pytest.param({"error": 1}, id="error-without-text"),
        pytest.param("OK", id="bare"),
    ],
)
def test_a_reply_of_another_shape_fails_the_batch(result: object) -> None:
    """It may be that of another command."""
    with pytest.raises(WrongReply):
        decode_replies(orjson.dumps([result]), 1)


async def test_an_answer_that_was_not_asked_for_reaches_no_request() -> None:
    """One that comes twice, or of its own accord, would be taken for that to the next request."""
    repeated: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = int(re.search(rb"Content-Length: (\d+)", head)[1])  # type: ignore[index]
                [[_, key]] = orjson.loads(await reader.readexactly(size))
                body = b'[{"result":["%b"]}]' % b64encode(key.encode())
                answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
                writer.write(answer)
                if not repeated:
                    repeated.append(writer)
                    asyncio.get_running_loop().call_later(0.01, writer.write, answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    lines = RestLines(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", "secret", 5)
    try:
        assert [[b"first"]] == await lines.read([("MGET", "first")], _no_check, 0)
        [kept] = _idle(lines)
        async with asyncio.timeout(20):
            while not kept.should_close:  # until the second answer has come
                await asyncio.sleep(0)

        for key in ("second", "third", "fourth"):
            assert [[key.encode()]] == await lines.read([("MGET", key)], _no_check, 0)
            assert kept not in _idle(lines)
    finally:
        await lines.aclose()
        server.close()


def _idle(lines: RestLines) -> list[Any]:
    """Connections of the session that wait for the next request."""
    connector: Any = lines._session.connector  # type: ignore[union-attr]
    return [protocol for each in connector._conns.values() for protocol, _ in each]
