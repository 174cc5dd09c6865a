"""What open WebSockets outlast, and what they do not, in several processes."""

import asyncio
import signal
from pathlib import Path

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin

from tests.fakes.http import fetch
from tests.fakes.sockets import echoing
from tests.fakes.timing import Stopwatch, at_best_of
from tests.fakes.world import World, world

ROUTES = '  - {name: socket, match: {path: "/socket/*"}, upstream: echo}\n'
EXTRA = '  - {name: extra, match: {path: "/extra"}, auth: none, upstream: app}\n'
SOCKETS = 6


def upstream(port: int) -> str:
    """The app."""
    return f'  echo: {{servers: ["http://127.0.0.1:{port}"]}}'


def opened(around: World, cookie: str) -> connect:
    """A WebSocket of a page of ours."""
    return connect(
        f"ws://127.0.0.1:{around.port}/socket/x",
        additional_headers=[("Cookie", cookie.removeprefix("Cookie: "))],
        origin=Origin("http://localhost"),
        ping_interval=None,
    )


async def code_of(socket: ClientConnection) -> int:
    """With which it is closed."""
    try:
        await socket.recv()
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else 1006
    raise AssertionError("a message")


async def sign_out(around: World, cookie: str) -> None:
    """By whichever process."""
    answer = await fetch(
        around.port, "DELETE", "/_gateway/session", cookie, "Origin: http://localhost"
    )
    assert 204 == answer.status


@at_best_of(3)
async def test_signing_out_in_one_process_ends_sockets_in_all(tmp_path: Path) -> None:
    """Within a second, wherever they are."""
    async with (
        echoing() as port,
        world(tmp_path, workers="2", more_upstreams=upstream(port), more_routes=ROUTES) as around,
    ):
        cookie = await around.sign_in()
        sockets = [await opened(around, cookie) for _ in range(SOCKETS)]
        for socket in sockets:
            await socket.send("hi")
            assert "hi" == await socket.recv()
        await sign_out(around, cookie)
        with Stopwatch(1):
            codes = await asyncio.gather(*(code_of(socket) for socket in sockets))
        assert [1008] * SOCKETS == codes


@at_best_of(3)
async def test_a_reload_keeps_websockets_open(tmp_path: Path) -> None:
    """They go on under the new config, and still end with their session."""
    async with (
        echoing() as port,
        world(tmp_path, more_upstreams=upstream(port), more_routes=ROUTES) as around,
    ):
        cookie = await around.sign_in()
        async with opened(around, cookie) as socket:
            with around.gateway.config.open("a") as file:
                file.write(EXTRA)
            around.gateway.process.send_signal(signal.SIGHUP)
            async with asyncio.timeout(20):
                while (await around.get("/extra")).status != 200:
                    await asyncio.sleep(0.02)
            await socket.send("still here")
            assert "still here" == await socket.recv()
            await sign_out(around, cookie)
            with Stopwatch(1):
                assert 1008 == await code_of(socket)


async def test_a_store_outage_closes_no_websocket(tmp_path: Path) -> None:
    """A session that cannot be looked up has not ended; its WebSocket stays open."""
    async with (
        echoing() as port,
        world(tmp_path, more_upstreams=upstream(port), more_routes=ROUTES) as around,
    ):
        cookie = await around.sign_in()
        async with opened(around, cookie) as socket:
            around.store.pause()
            await asyncio.sleep(1.2)
            await socket.send("still here")
            assert "still here" == await socket.recv()
            around.store.resume()
            await asyncio.sleep(0.6)
            await socket.send("still")
            assert "still" == await socket.recv()
