"""The wire of ``gateway upstash``, exchange by exchange, over a real socket and a real store."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiohttp import ClientSession
from yarl import URL

from tests.fakes.upstash import RestDatabase, rest_database
from tests.unit.upstash.exchanges import EXCHANGES, STANDARD, Exchange, body


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def database() -> AsyncIterator[RestDatabase]:
    """One for all exchanges."""
    async with rest_database() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def client() -> AsyncIterator[ClientSession]:
    async with ClientSession(skip_auto_headers=("Content-Type", "Accept")) as session:
        yield session


async def _prepare(url: str, client: ClientSession, given: tuple[tuple[object, ...], ...]) -> None:
    """Empty the database, and run commands that must succeed."""
    commands = body(["FLUSHALL"], ["SCRIPT", "FLUSH"], *given)
    async with client.post(
        f"{url}/pipeline", data=commands, headers={"Authorization": STANDARD}
    ) as answer:
        assert [] == [outcome for outcome in await answer.json() if "error" in outcome]


def test_there_are_enough_exchanges() -> None:
    """Each has a source."""
    assert len(EXCHANGES) >= 80
    known = {"docs", "sdk", "observed", "redis", "choice"}
    assert set() == {exchange.source.split()[0] for exchange in EXCHANGES.values()} - known


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("exchange", EXCHANGES.values(), ids=EXCHANGES)
async def test_exchange(database: RestDatabase, client: ClientSession, exchange: Exchange) -> None:
    """The status, the type and the body, byte by byte, and a sync token."""
    await _prepare(database.url, client, exchange.given)
    method = exchange.method or ("GET" if exchange.body is None else "POST")
    headers = dict(exchange.headers)
    if exchange.authorization:
        headers["Authorization"] = exchange.authorization
    url = URL(database.url + exchange.target, encoded=True)
    async with client.request(method, url, data=exchange.body, headers=headers) as answer:
        received = answer.status, answer.headers["Content-Type"], await answer.read()
        assert (exchange.status, exchange.content_type, exchange.answer) == received
        assert answer.headers["Upstash-Sync-Token"]
        assert ("GET, HEAD, POST, PUT" if answer.status == 405 else None) == (
            answer.headers.get("Allow")
        )
