"""The private listener."""

import socket

import pytest

from gateway.admin.listener import listening
from gateway.config.server import AdminSettings
from gateway.core.errors import StartError
from tests.fakes.http import fetch
from tests.unit.admin.test_api import Deeds
from tests.unit.admin.test_app import Source


def _settings(port: int) -> AdminSettings:
    return AdminSettings.model_validate({"listen": f"127.0.0.1:{port}"})


async def test_no_listener_without_settings() -> None:
    """There is no port."""
    async with listening(None, Source(), Deeds()) as port:
        assert port is None


async def test_it_serves_health_and_the_api() -> None:
    """On a port of its own."""
    async with listening(_settings(0), Source(), Deeds()) as port:
        assert port is not None
        assert 200 == (await fetch(port, "GET", "/healthz")).status
        assert 415 == (await fetch(port, "POST", "/api/revocations", body=b"{}")).status


async def test_a_port_that_is_taken() -> None:
    """The gateway does not start, and says which one."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=f"127.0.0.1:{port}"):
            async with listening(_settings(port), Source(), Deeds()):
                pass
