"""Roles of the store are read where the config says so."""

import time
from contextlib import AsyncExitStack

import pytest

from gateway.authz.roles import encode_roles, key
from gateway.core.invalidation import InvalidationKind
from gateway.core.route import Route
from gateway.runtime.services.authz import authoriser
from gateway.store.bus import StoreBus
from tests.fakes.ports import ISSUER, TOKEN_IDENTITY
from tests.fakes.services import fake_process, settings_of
from tests.fakes.store import FakeStore


@pytest.mark.parametrize(
    ("more", "roles"),
    [
        pytest.param("identity: {roles_from_store: true}", ("admin",), id="on"),
        pytest.param("", (), id="off"),
    ],
)
async def test_roles_from_the_store(more: str, roles: tuple[str, ...]) -> None:
    """And a changed role is heard of, until the config is over."""
    records = {key(ISSUER): encode_roles(("admin",))}
    store = FakeStore(time.time, {"read": lambda keys, _args: records[keys[0]]})
    settings = settings_of(more)
    async with fake_process(settings, store) as process:
        assert isinstance(process.bus, StoreBus)
        subscribed = process.bus._subscribers[InvalidationKind.ROLES]
        async with AsyncExitStack() as stack:
            stage = authoriser(settings, process, stack)
            identity = await stage.with_roles(TOKEN_IDENTITY, Route("r", "/", "app"))
            assert (roles, bool(roles)) == (identity.roles, bool(subscribed))
        assert [] == subscribed
