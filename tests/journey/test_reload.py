"""A new config while requests are under way."""

import asyncio
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.fakes.http import connected, fetch
from tests.fakes.load import load
from tests.fakes.upstream import Seen
from tests.fakes.world import World, world

EXTRA = '  - {{name: extra, match: {{path: "{path}"}}, auth: none, upstream: app}}\n'


def _config(around: World) -> Path:
    return around.gateway.config


async def _becomes(around: World, path: str, status: int) -> None:
    """Wait until GET is answered with ``status``."""
    async with asyncio.timeout(20):
        while (await around.get(path)).status != status:
            await asyncio.sleep(0.02)


async def test_no_request_fails(tmp_path: Path) -> None:
    """Twenty reloads under load: each takes effect, and every request is answered."""
    async with world(tmp_path) as around:
        text = _config(around).read_text()
        async with load(around.port, "/public/x") as made:
            for number in range(20):
                _config(around).write_text(text + EXTRA.format(path=f"/extra-{number}"))
                around.gateway.process.send_signal(signal.SIGHUP)
                await _becomes(around, f"/extra-{number}", 200)
                await made.more(20)
        assert 401 == (await around.get("/extra-18")).status
        assert [] == made.broken
        assert {200} == set(made.answers)


async def test_what_is_under_way_goes_on(tmp_path: Path) -> None:
    """An answer that began on the old config ends on it, and then its upstream is let go."""
    go_on = asyncio.Event()

    async def slow(_: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nbut")
        await go_on.wait()
        writer.write(b"ter")
        await reader.read()

    async with world(tmp_path) as around:
        around.app.streams["/public/slow"] = slow
        async with connected(around.port) as client:
            await client.send(b"GET /public/slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await client.reader.readuntil(b"but")
            text = _config(around).read_text()
            _config(around).write_text(text.replace("/public/*", "/open/*"))
            around.gateway.process.send_signal(signal.SIGHUP)
            await _becomes(around, "/public/x", 401)
            around.app.lost.clear()  # what was idle went at once

            go_on.set()
            assert b"ter" == await client.reader.readexactly(3)
            await asyncio.wait_for(around.app.lost.wait(), 20)
            await client.send(b"GET /open/x HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert 200 == (await client.answer()).status


async def test_a_changed_file_is_read(tmp_path: Path) -> None:
    """No signal is needed; a file behind a placeholder counts, too."""
    async with world(tmp_path) as around:
        route = tmp_path / "route"
        route.write_text("/first")
        with _config(around).open("a") as file:
            file.write(EXTRA.format(path=f"${{file:{route}}}"))
        await _becomes(around, "/first", 200)

        new = tmp_path / "new"
        new.write_text("/second")
        new.rename(route)
        await _becomes(around, "/second", 200)
        assert 401 == (await around.get("/first")).status


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        pytest.param("routes:", "roots:", "roots", id="faulty"),
        pytest.param(
            "admin: null",
            "admin: {}",
            "admin.listen, admin.hosts: needs a restart",
            id="needs a restart",
        ),
    ],
)
async def test_a_bad_config_changes_nothing(
    tmp_path: Path, old: str, new: str, problem: str
) -> None:
    """It is reported, and the old one goes on; a good one afterwards is taken."""
    async with world(tmp_path) as around:
        text = _config(around).read_text()
        _config(around).write_text(text.replace(old, new) + EXTRA.format(path="/extra"))
        await around.gateway.said("config not reloaded")
        await around.gateway.told("config not reloaded", problem)
        answers = [await around.get(path) for path in ("/public/x", "/extra")]
        assert [200, 401] == [answer.status for answer in answers]

        _config(around).write_text(text + EXTRA.format(path="/extra"))
        await _becomes(around, "/extra", 200)


async def test_sessions_live_on(tmp_path: Path) -> None:
    """A reload keeps sessions and connections."""
    async with world(tmp_path) as around, connected(around.port) as client:
        cookie = await around.sign_in()
        ask = f"GET /me HTTP/1.1\r\nHost: localhost\r\n{cookie}\r\n\r\n".encode()
        for _ in range(2):
            await client.send(ask)
            assert 200 == (await client.answer()).status
            with _config(around).open("a") as file:
                file.write(EXTRA.format(path="/extra"))
            around.gateway.process.send_signal(signal.SIGHUP)
            await around.gateway.said("config reloaded")
        assert 200 == (await fetch(around.port, "GET", "/me", cookie)).status


CHAT = '\n  - {name: chat, match: {path: "/chat"}, auth: none, upgrades: [chat], upstream: app}'
TO_CHAT = b"GET /chat HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n"


async def _echo(_: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 101 Chat\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n")
    while data := await reader.read(100):
        writer.write(data)


async def test_a_tunnel_stays(tmp_path: Path) -> None:
    """It was opened under the old config, and ends when its peers want it to."""
    async with world(tmp_path, more_routes=CHAT) as around, connected(around.port) as client:
        around.app.streams["/chat"] = _echo
        await client.send(TO_CHAT)
        await client.reader.readuntil(b"\r\n\r\n")
        _config(around).write_text(_config(around).read_text().replace(CHAT, ""))
        around.gateway.process.send_signal(signal.SIGHUP)
        await _becomes(around, "/chat", 401)
        await client.send(b"still here")
        assert b"still here" == await client.reader.readexactly(10)


async def test_a_tunnel_keeps_no_config(tmp_path: Path) -> None:
    """It may last for days: what it was opened under is gone after a reload."""
    routes = "".join(
        f'\n  - {{name: r{number}, match: {{path: "/{number}/*"}}, upstream: app}}'
        for number in range(2000)
    )
    async with AsyncExitStack() as stack:
        around = await stack.enter_async_context(world(tmp_path, more_routes=CHAT + routes))
        around.app.streams["/chat"] = _echo
        before = around.gateway.resident_bytes()
        for reloads in range(1, 16):
            client = await stack.enter_async_context(connected(around.port))
            await client.send(TO_CHAT)
            await client.reader.readuntil(b"\r\n\r\n")
            around.gateway.process.send_signal(signal.SIGHUP)
            async with asyncio.timeout(20):
                while around.gateway.messages.count("config reloaded") < reloads:
                    await asyncio.sleep(0.01)
        grown = around.gateway.resident_bytes() - before
        assert grown < 40 << 20  # 65 MiB with all of them


async def test_a_faulty_template_changes_nothing(tmp_path: Path) -> None:
    """The old pages stay until the template is corrected; no request waits for it."""
    brand = tmp_path / "brand"
    brand.mkdir()
    page = brand / "404.html"
    page.write_text("<p>first {{ request_id }}</p>")
    async with world(tmp_path, more=f"pages: {{templates: {brand}}}") as around:

        async def shown() -> bytes:
            answer = await around.get("/_gateway/nothing", "Sec-Fetch-Mode: navigate")
            assert 404 == answer.status
            return answer.body

        assert (await shown()).startswith(b"<p>first ")
        page.write_text("<p>second {{ request_id }}{{ nothing }}</p>")
        around.gateway.process.send_signal(signal.SIGHUP)
        await around.gateway.said("config not reloaded")
        await around.gateway.told("config not reloaded", f"{page}:1: UndefinedError")
        assert (await shown()).startswith(b"<p>first ")
        assert 200 == (await around.get("/public/x")).status
        page.write_text("<p>third {{ request_id }}</p>")
        around.gateway.process.send_signal(signal.SIGHUP)
        async with asyncio.timeout(20):
            while not (await shown()).startswith(b"<p>third "):
                await asyncio.sleep(0.02)
