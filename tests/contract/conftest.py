"""The stores that every contract holds for."""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack

import pytest
from redis.asyncio import Redis

from gateway.store.redis import RedisStore
from tests.fakes.servers import REAL, TIMEOUT_S, RealServer, Servers, opened_client


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """One server of a kind for all tests, started when it is first asked for."""
    running: dict[str, RealServer] = {}
    with ExitStack() as until_the_end:

        def server(kind: str) -> RealServer:
            if kind not in running:
                running[kind] = until_the_end.enter_context(REAL[kind]())
            return running[kind]

        yield server


@pytest.fixture(params=REAL)
def mortal_server(request: pytest.FixtureRequest) -> Iterator[RealServer]:
    """A server for this test alone, which may do to it what it likes."""
    with REAL[request.param]() as server:
        yield server


@pytest.fixture(params=["fakeredis", *REAL])
async def client(request: pytest.FixtureRequest, servers: Servers) -> AsyncIterator[Redis]:
    """A client of an empty store of each kind, to look behind the gateway's back."""
    async with opened_client(request.param, servers) as client:
        yield client


@pytest.fixture(params=REAL)
async def real_client(request: pytest.FixtureRequest, servers: Servers) -> AsyncIterator[Redis]:
    """A client of an empty real server of each kind."""
    async with opened_client(request.param, servers) as client:
        yield client


@pytest.fixture
async def store(client: Redis) -> AsyncIterator[RedisStore]:
    """A store of each kind, under the prefix ``gw:``."""
    opened = RedisStore(client, "gw:", TIMEOUT_S)
    yield opened
    await opened.aclose()


@pytest.fixture
async def real_store(real_client: Redis) -> AsyncIterator[RedisStore]:
    """A store on a real server of each kind, under the prefix ``gw:``."""
    opened = RedisStore(real_client, "gw:", TIMEOUT_S)
    yield opened
    await opened.aclose()
