"""Two gateways on one store: what one is told, the other obeys at once."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from gateway.store.connect import connect
from tests.fakes.http import fetch
from tests.fakes.metrics import figures
from tests.fakes.process import GatewayProcess, gateway
from tests.fakes.world import ADMIN, World

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG_CHANGES = {"admin": ADMIN}

SOON_S = 10.0


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def other(
    shared_world: World, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[GatewayProcess]:
    """A second gateway with the same config."""
    config = shared_world.gateway.config.read_text()
    async with gateway(config, tmp_path_factory.mktemp("other")) as running:
        await subscribed(running)
        await subscribed(shared_world.gateway)
        yield running


async def subscribed(running: GatewayProcess, times: int = 1) -> None:
    """Wait until it hears the others, for the so-manieth time."""
    async with asyncio.timeout(SOON_S):
        while (await figures(running.admin_port))["gateway_bus_subscriptions_total"] < times:
            await asyncio.sleep(0.02)


async def status_at(running: GatewayProcess, cookie: str) -> int:
    return (await fetch(running.port, "GET", "/x", cookie)).status


async def sign_out(around: World, cookie: str) -> None:
    page = "/_gateway/session", cookie, "Origin: http://localhost"
    assert 204 == (await fetch(around.port, "DELETE", *page)).status


@pytest_asyncio.fixture(loop_scope="module")
async def store(around: World) -> AsyncIterator[Redis]:
    """A client of their store."""
    client = connect(around.store.url, 2.0)
    yield client
    await client.aclose()


async def test_a_sign_out_is_obeyed_by_the_other(around: World, other: GatewayProcess) -> None:
    """Though the other has just seen the session, and would trust that for a second."""
    cookie = await around.sign_in()
    assert 200 == await status_at(other, cookie)

    await sign_out(around, cookie)

    async with asyncio.timeout(0.5):
        while await status_at(other, cookie) != 401:
            await asyncio.sleep(0.001)


async def test_what_was_missed_is_made_up_for(
    around: World, other: GatewayProcess, store: Redis
) -> None:
    """A connection that was cut is made again, and what was known by then is asked for."""
    times = (await figures(other.admin_port))["gateway_bus_subscriptions_total"]
    await store.client_kill_filter(_type="pubsub")
    await subscribed(other, int(times) + 1)
    cookie = await around.sign_in()
    assert 200 == await status_at(other, cookie)

    await sign_out(around, cookie)

    async with asyncio.timeout(0.5):
        while await status_at(other, cookie) != 401:
            await asyncio.sleep(0.001)
