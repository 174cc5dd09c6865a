"""What fails, what is answered then, and that it recovers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from tests.fakes.http import Answer, connected, fetch
from tests.fakes.timing import Stopwatch, at_best_of
from tests.fakes.tokens import BOB
from tests.fakes.upstream import Seen
from tests.fakes.world import World, world

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG_CHANGES = {
    "timeouts": "{head: 500ms, body_idle: 500ms, keep_alive: 1s, drain: 2s}",
    "app_timeouts": "{connect: 1s, response: 1s, idle: 1s}",
}
CAP = 8
CAPPED = {"max": f"{{connections: {CAP}}}", "timeouts": "{body_idle: 1s}"}
GET = b"GET /public/x HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def capped(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A world that takes few connections, and has time for each."""
    async with world(tmp_path_factory.mktemp("capped"), **CAPPED) as running:
        yield running


async def _soon(around: World, path: str, *fields: str, status: int) -> Answer:
    """The answer to GET as soon as it has this status."""
    async with asyncio.timeout(20):
        while (answer := await around.get(path, *fields)).status != status:
            await asyncio.sleep(0.02)
    return answer


async def _all_left(around: World) -> None:
    """Wait until what earlier tests left open is closed."""
    async with asyncio.timeout(20):
        while around.gateway.clients():
            await asyncio.sleep(0.02)


# --- the app -----------------------------------------------------------------------------------


async def test_the_app_is_killed_and_comes_back(around: World) -> None:
    """502 while it is gone, 200 as soon as it is there again."""
    assert 200 == (await around.get("/public/x")).status
    await around.app.stop()

    gone = await around.get("/public/x")
    assert (502, "upstream_unreachable") == (gone.status, gone.code)

    await around.app.start()
    assert 200 == (await around.get("/public/x")).status


async def test_the_app_does_not_answer(around: World) -> None:
    """504 when its time is over, and the app's connection is given up."""

    async def hang(_: Seen, reader: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        await reader.read()

    around.app.streams["/public/hang"] = hang
    answer = await around.get("/public/hang")

    assert (504, "upstream_timeout") == (answer.status, answer.code)
    await asyncio.wait_for(around.app.lost.wait(), 20)


async def test_the_app_invites_a_body_and_does_not_answer(around: World) -> None:
    """A 100 is no answer: the time for one runs all the same."""

    async def invite(_: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await writer.drain()
        await reader.read()

    around.app.streams["/public/invite"] = invite
    async with connected(around.port) as client:
        await client.send(
            b"POST /public/invite HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
            b"Expect: 100-continue\r\n\r\n"
        )
        assert 100 == await client.interim()
        await client.send(b"ok")
        assert 504 == (await client.answer()).status


async def test_the_app_stops_in_the_middle(around: World) -> None:
    """A body that does not go on is broken off, not waited for."""

    async def stall(_: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
        await writer.drain()
        await reader.read()

    around.app.streams["/public/stall"] = stall
    answer = await around.get("/public/stall")

    assert (200, False) == (answer.status, answer.is_complete)


async def test_an_app_that_sends_slowly_but_steadily_is_waited_for(around: World) -> None:
    """Only silence counts: an answer may take longer than any of the time-outs."""

    async def trickle(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
        for _number in range(9):
            await asyncio.sleep(0.1)
            writer.write(b"x")
            await writer.drain()

    around.app.streams["/public/slow"] = trickle
    answer = await around.get("/public/slow")

    assert (200, b"x" * 9, True) == (answer.status, answer.body, answer.is_complete)


# --- the client --------------------------------------------------------------------------------


async def test_a_head_that_does_not_end(around: World) -> None:
    """Slowloris gets 408 and the end of its connection."""
    async with connected(around.port) as client:
        await client.send(b"GET /public/x HTTP/1.1\r\nHo")
        answer = await client.answer()
        assert (408, "request_timeout") == (answer.status, answer.code)
        assert await client.is_closed()


async def test_a_connection_that_says_nothing(around: World) -> None:
    """It is closed without a word."""
    async with connected(around.port) as client:
        assert await client.is_closed()


async def test_a_kept_connection_that_is_not_used(around: World) -> None:
    """It is closed without a word, too."""
    async with connected(around.port) as client:
        await client.send(b"GET /public/x HTTP/1.1\r\nHost: x\r\n\r\n")
        await client.answer()
        assert await client.is_closed()


async def test_a_body_that_does_not_go_on(around: World) -> None:
    """A slow POST gets 408, and the app sees that the request is not whole."""

    async def read_all(_: Seen, reader: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            pass

    around.app.streams["/public/b"] = read_all
    async with connected(around.port) as client:
        await client.send(b"POST /public/b HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
        await client.send(b"x" * 70_000)
        answer = await client.answer()

    assert (408, "request_timeout") == (answer.status, answer.code)
    await asyncio.wait_for(around.app.lost.wait(), 20)


async def test_a_small_body_that_does_not_go_on(around: World) -> None:
    """A slow POST gets 408, and the app is not asked."""
    async with connected(around.port) as client:
        await client.send(b"POST /public/b HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
        answer = await client.answer()

    assert (408, "request_timeout") == (answer.status, answer.code)
    assert not around.app.arrived.is_set()


async def test_a_client_that_does_not_read(around: World) -> None:
    """An answer that the client does not read is given up, and so is the app's connection."""

    async def flood(_: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    around.app.streams["/public/flood"] = flood
    async with connected(around.port) as client:
        await client.send(b"GET /public/flood HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.wait_for(around.app.lost.wait(), 20)


async def test_clients_that_ask_and_do_not_read_are_cut_off(capped: World) -> None:
    """What was answered waits for them only so long."""
    body = b"x" * 40_000
    capped.app.answer(
        "/public/big", b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    )
    await _all_left(capped)
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connected(capped.port)) for _ in range(CAP)]
        for client in clients:
            client.writer.write(GET.replace(b"/x", b"/big") * 200)
        for client in clients:  # who has an answer has a place
            await client.reader.readexactly(1)
        assert 503 == (await capped.get("/public/x")).status
        await _soon(capped, "/public/x", status=200)


async def test_too_many_connections(capped: World) -> None:
    """One too many is told so, and the others are served."""
    await _all_left(capped)
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connected(capped.port)) for _ in range(CAP)]
        for client in clients:  # who has an answer has a place
            assert 200 == (await (await client.send(GET)).answer()).status
        async with connected(capped.port) as one_too_many:
            answer = await one_too_many.answer()
            assert (503, "overloaded") == (answer.status, answer.code)
            assert answer.value("X-Request-Id") == answer.json()["request_id"] != ""
        assert 200 == (await (await clients[0].send(GET)).answer()).status


async def test_a_flood_of_connections_holds_no_descriptors(capped: World) -> None:
    """Those over the cap are told so and gone; the gateway does not wait for their end."""
    await _all_left(capped)
    before = capped.gateway.descriptors()
    flood = [await asyncio.open_connection("127.0.0.1", capped.port) for _ in range(200)]
    try:
        await asyncio.gather(*(reader.read() for reader, _ in flood[CAP + 10 :]))
        assert capped.gateway.descriptors() - before <= CAP + 10
    finally:
        for _, writer in flood:
            writer.transport.abort()


# --- the store ---------------------------------------------------------------------------------


async def test_the_store_is_killed_and_comes_back(around: World) -> None:
    """
    Public pages are served; a session gets 503 with Retry-After, and is not signed out.

    A bearer token that was verified before works too. The store comes back empty: the session is
    gone then, and a new one can be made.
    """
    cookie, bearer = await around.sign_in(), around.bearer()
    assert 200 == (await around.get("/private", bearer)).status
    around.store.kill()
    try:
        refused = await _soon(around, "/private", cookie, status=503)
        assert "store_unavailable" == refused.code
        assert 1 <= int(refused.value("Retry-After"))
        assert [] == refused.values("Set-Cookie")
        assert 200 == (await around.get("/public/x")).status
        assert 200 == (await around.get("/private", bearer)).status
        sign_in = await fetch(around.port, "POST", "/_gateway/session", around.bearer())
        assert 503 == sign_in.status
    finally:
        around.store.start()

    assert "session_ended" == (await _soon(around, "/private", cookie, status=401)).code
    assert 200 == (await around.get("/private", await around.sign_in())).status


@at_best_of(3)
async def test_a_store_that_hangs(around: World) -> None:
    """A frozen store costs one time-out, then nothing until it answers; sessions survive."""
    cookie = await around.sign_in(BOB)
    around.store.pause()
    try:
        await _soon(around, "/private", cookie, status=503)
        with Stopwatch(20):
            answers = [await around.get("/public/x") for _ in range(20)]
        assert {200} == {answer.status for answer in answers}
    finally:
        around.store.resume()

    await _soon(around, "/private", cookie, status=200)


# --- stopping ------------------------------------------------------------------------------------


async def test_sigterm_lets_requests_finish(tmp_path: Path) -> None:
    """Requests in flight are answered, idle and new connections closed, exit status 0."""
    go_on = asyncio.Event()

    async def slow(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await go_on.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()

    async with (
        world(tmp_path) as around,
        connected(around.port) as idle,
        connected(around.port) as busy,
    ):
        around.app.streams["/public/slow"] = slow
        await idle.send(b"GET /public/x HTTP/1.1\r\nHost: x\r\n\r\n")
        await idle.answer()
        around.app.arrived.clear()
        await busy.send(b"GET /public/slow HTTP/1.1\r\nHost: x\r\n\r\n")
        await around.app.arrived.wait()
        stopping = asyncio.create_task(around.gateway.stop())
        assert await idle.is_closed()
        with pytest.raises(ConnectionRefusedError):
            await around.get("/public/x")
        go_on.set()
        answer = await busy.answer()
        assert (b"ok", "close") == (answer.body, answer.value("Connection"))
        assert 0 == await asyncio.wait_for(stopping, 20)
