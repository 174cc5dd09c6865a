"""A whole gateway in this process: how it starts, reloads, says how it is, and ends."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from gateway.config.schema import Settings
from gateway.core.errors import StartError
from gateway.runtime.gateway import Gateway, running
from tests.fakes.http import fetch
from tests.fakes.services import LISTEN, settings_of

ROUTES = """
upstreams: {{app: {{servers: ["{app}"]{upstream}}}}}
routes: [{{name: all, match: {{path: "{path}"}}, auth: none, upstream: app}}]
"""


def config(
    path: str = "/old/*",
    *,
    server: str = LISTEN,
    app: str = "http://127.0.0.1:9",
    upstream: str = "",
) -> Settings:
    """A config with one route, to an app that is not there."""
    return settings_of(ROUTES.format(path=path, app=app, upstream=upstream), server=server)


@pytest.fixture
def log_fd() -> Iterator[int]:
    descriptor = os.open(os.devnull, os.O_WRONLY)
    yield descriptor
    os.close(descriptor)


@pytest.fixture
async def gateway(log_fd: int) -> AsyncIterator[Gateway]:
    async with running(config(), log_fd) as gateway:
        yield gateway


async def status(gateway: Gateway, path: str) -> int:
    """What a request for ``path`` is answered with: 404 has no route, 502 has no app."""
    [address] = gateway.addresses
    return (await fetch(int(address.rpartition(" ")[2]), "GET", path)).status


async def test_it_serves_and_says_how_it_is(gateway: Gateway) -> None:
    """Its store is its own; the request is counted."""
    assert [404, 502] == [await status(gateway, path) for path in ("/new/", "/old/")]
    state = await gateway.state()
    assert (True, "ok", "ok", True) == state[:4]
    assert {"store": True, "upstream app": True} == {check.name: check.ok for check in state.checks}
    counted = await gateway.snapshot()
    assert counted.to_json()


async def test_a_reload_changes_what_the_next_request_meets(gateway: Gateway) -> None:
    """The config before it is closed once no exchange uses it."""
    before = gateway._active
    await gateway.reload(config("/new/*"))
    assert [502, 404] == [await status(gateway, path) for path in ("/new/", "/old/")]
    assert before.serving is not gateway.server.serving
    async with asyncio.timeout(20):
        while gateway._retiring:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param(
            lambda: config("/new/*", server='listen: ["127.0.0.1:1"]'),
            r"^server\.listen: needs a restart$",
            id="needs-a-restart",
        ),
        pytest.param(
            lambda: config("/new/*", app="https://a", upstream=", tls: {ca: /nowhere/ca.pem}"),
            "ca.pem",
            id="cannot-be-opened",
        ),
    ],
)
async def test_a_reload_that_fails_changes_nothing(
    gateway: Gateway, settings: Callable[[], Settings], message: str
) -> None:
    """All of a config or none of it."""
    with pytest.raises(StartError, match=message):
        await gateway.reload(settings())
    assert [404, 502] == [await status(gateway, path) for path in ("/new/", "/old/")]
    assert not gateway._retiring


async def test_a_gateway_that_drains_is_not_ready(gateway: Gateway) -> None:
    """It accepts no more connections."""
    await gateway.drain()
    assert (False, "draining", "ok", True) == (await gateway.state())[:4]
    with pytest.raises(OSError):  # noqa: PT011 (refused, or reset)
        await status(gateway, "/old/")


async def test_an_address_that_is_taken(log_fd: int) -> None:
    """The gateway does not start, and leaves nothing open."""
    async with running(config(), log_fd) as first:
        taken = first.addresses[0].rpartition(" ")[2]
        again = config(server=f'listen: ["127.0.0.1:{taken}"]')
        with pytest.raises(StartError, match=taken):
            async with running(again, log_fd):
                pass
