"""The gateway's own pages, as they are served to its pipeline."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any, cast

import pytest

from gateway.pages.error_pages import ErrorPages
from gateway.pages.look import Look
from gateway.ratelimit.lists import LimitLists
from gateway.ratelimit.redis import RedisLimiter
from gateway.runtime.services.hooks import hook_services
from gateway.runtime.services.identity import identity_services
from gateway.runtime.services.pages import pages_server, session_cookie
from tests.fakes.services import fake_process, settings_of


@pytest.mark.parametrize(
    ("url", "is_secure"), [("http://localhost", False), ("https://app.example.com", True)]
)
def test_the_cookie_is_secure_where_the_site_is(url: str, *, is_secure: bool) -> None:
    """Browsers would not send it over http otherwise."""
    settings = settings_of()
    server = settings.server.model_copy(update={"public_url": url})
    cookie = session_cookie(settings.model_copy(update={"server": server}))
    assert is_secure == ("Secure" in cookie.set("x", 60))


class Collector(asyncio.Protocol):
    """Keeps what the pages answer."""

    def __init__(self) -> None:
        self.data = b""
        self.answered = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"POST /_gateway/development/token?email=a@b.c HTTP/1.1\r\nHost: x\r\n\r\n")

    def data_received(self, data: bytes) -> None:
        self.data += data
        self.answered.set()


async def test_pages_are_served_until_their_config_is_over() -> None:
    """In development mode with a page that mints tokens; nothing is connected afterwards."""
    settings = settings_of()
    async with fake_process(settings) as process, AsyncExitStack() as stack:
        identity = identity_services(settings, process, stack)
        limiter = RedisLimiter(process.store, process.local)
        hooks = await stack.enter_async_context(hook_services(settings, process))
        lists = LimitLists()
        errors = ErrorPages(Look(settings))
        serving = pages_server(settings, process, identity, limiter, lists, (), hooks, errors)
        async with serving as pages:
            collector = cast("Any", Collector())
            await pages.connect(lambda: collector)
            async with asyncio.timeout(20):
                await collector.answered.wait()
        with pytest.raises(ConnectionRefusedError):
            await pages.connect(lambda: collector)
    assert collector.data.startswith(b"HTTP/1.1 ")
