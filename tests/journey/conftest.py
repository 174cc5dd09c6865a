"""One world for each module of tests; each test starts with what it holds forgotten."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.fakes.sockets import echoing
from tests.fakes.world import World, world


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def shared_world(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> AsyncIterator[World]:
    """A world with the config changes that the module names in ``CONFIG_CHANGES``."""
    changes = getattr(request.module, "CONFIG_CHANGES", {})
    async with world(tmp_path_factory.mktemp("gateway"), **changes) as running:
        yield running


@pytest.fixture
def around(shared_world: World) -> World:
    """The module's world, as new."""
    shared_world.forget()
    return shared_world


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def echo() -> AsyncIterator[int]:
    """The port of an app that sends WebSocket messages back."""
    async with echoing() as port:
        yield port
