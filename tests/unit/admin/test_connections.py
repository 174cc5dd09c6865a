"""How many connections the private listener keeps, and for how long."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from gateway.admin import connections, listener
from gateway.config.server import AdminSettings
from tests.fakes.admin import Deeds, Source, listening
from tests.fakes.http import RawClient, connected, fetch

TOKEN = "a token for tests that is long enough"
BEARER = f"Authorization: Bearer {TOKEN}"
MOST = 8
HALF_A_HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
SETTINGS = AdminSettings.model_validate({"listen": "127.0.0.1:0", "token": TOKEN})


@pytest_asyncio.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", MOST)
    monkeypatch.setattr(connections, "_BODY_S", 0.2)
    async with listening(SETTINGS, Source(), Deeds()) as port:
        yield port


@pytest.mark.parametrize("sent", [b"", HALF_A_HEAD, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"])
async def test_a_connection_without_a_request_is_closed(
    sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it sends nothing, a part of a head, or nothing after an answer."""
    monkeypatch.setattr(listener, "_IDLE_S", 0.2)
    async with listening(SETTINGS, Source(), Deeds()) as port, connected(port) as client:
        await client.send(sent)
        if sent.endswith(b"\r\n\r\n"):
            assert 200 == (await client.answer()).status
        assert await client.is_closed()


async def test_a_token_that_comes_in_parts_is_taken(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A form may come in several segments."""
    monkeypatch.setattr(connections, "_BODY_S", 60)
    async with connected(port) as client:
        form = f"token={TOKEN.replace(' ', '+')}".encode()
        head = f"POST /sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(form)}\r\n\r\n"
        await client.send(head.encode() + form[:9])
        assert 200 == (await fetch(port, "GET", "/healthz")).status
        await client.send(form[9:])
        assert 303 == (await client.answer("POST")).status


@pytest.mark.parametrize("path", ["/sign-in", "/api/audit"])
async def test_a_body_that_does_not_come_is_not_waited_for(port: int, path: str) -> None:
    """Of those who have proven nothing."""
    async with connected(port) as client:
        fields = "Host: localhost\r\nContent-Type: application/json\r\nContent-Length: 9"
        await client.send(f"POST {path} HTTP/1.1\r\n{fields}\r\n\r\n".encode())
        assert 408 == (await client.answer("POST")).status


HALF_A_FORM = b"POST /sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\ntoken="


@pytest.mark.parametrize("sent", [HALF_A_HEAD, HALF_A_FORM], ids=["head", "form"])
async def test_a_flood_of_connections_keeps_no_operator_out(
    port: int, sent: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Those that ask for nothing make room, the oldest first; a page that is open stays open."""
    monkeypatch.setattr(connections, "_BODY_S", 60)
    async with AsyncExitStack() as stack:
        page = await stack.enter_async_context(connected(port))
        await page.send(f"GET /api/events HTTP/1.1\r\nHost: localhost\r\n{BEARER}\r\n\r\n".encode())
        assert b" 200 " in await page.reader.readline()
        idle: list[RawClient] = []
        for _ in range(5 * MOST):
            idle.append(await stack.enter_async_context(connected(port)))
            await idle[-1].send(sent)
            assert 200 == (await fetch(port, "GET", "/healthz")).status
        closed = [each for each in idle[:-MOST] if await each.is_closed()]
        assert 4 * MOST == len(closed)
        async with asyncio.timeout(9):
            await page.reader.readuntil(b"event: figures")
    assert [] == caplog.records


async def test_where_all_connections_are_in_use_one_more_is_closed(port: int) -> None:
    """There is no room to make."""
    async with AsyncExitStack() as stack:
        for _ in range(MOST):
            page = await stack.enter_async_context(connected(port))
            await page.send(
                f"GET /api/events HTTP/1.1\r\nHost: localhost\r\n{BEARER}\r\n\r\n".encode()
            )
            assert b" 200 " in await page.reader.readline()
        one_more = await stack.enter_async_context(connected(port))
        assert await one_more.is_closed()
