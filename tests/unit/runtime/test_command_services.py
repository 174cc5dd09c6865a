"""What the command line explains by."""

import pytest

from gateway.core.errors import NotReached, StoreUnavailable
from gateway.runtime.command_services import command_services
from tests.fakes.services import settings_of

APP = 'upstreams: {app: {servers: ["http://127.0.0.1:9"]}}'


async def test_the_services_are_those_of_a_gateway_that_does_not_serve() -> None:
    """Its upstreams are built, and no store is asked until it is needed."""
    settings = settings_of(APP, redis="redis://127.0.0.1:1")
    async with command_services(settings) as (process, upstreams):
        assert {"app"} == set(upstreams)
        with pytest.raises(StoreUnavailable):
            await process.store.ping()


async def test_a_store_in_the_memory_of_a_gateway_cannot_be_asked() -> None:
    """The failure says so."""
    async with command_services(settings_of(APP)) as (process, _):
        with pytest.raises(StoreUnavailable, match="the gateway's own"):
            await process.store.get("a")


async def test_magic_is_asked_for_the_client_id_where_the_config_has_none() -> None:
    """Where it does not answer there is nothing to check tokens by."""
    settings = settings_of(APP)
    magic = settings.magic.model_copy(
        update={
            "mode": "live",
            "secret_key": settings.redis.url,
            "api_url": "http://127.0.0.1:1",
        }
    )
    with pytest.raises(NotReached):
        async with command_services(settings.model_copy(update={"magic": magic})):
            pass
