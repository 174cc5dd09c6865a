"""The private listener."""

import socket

import pytest

from gateway.admin.listener import listening
from gateway.config.server import AdminSettings
from gateway.core.errors import StartError
from tests.fakes.http import Answer, connected, fetch
from tests.unit.admin.test_api import Deeds
from tests.unit.admin.test_app import Source


def _settings(port: int) -> AdminSettings:
    return AdminSettings.model_validate({"listen": f"127.0.0.1:{port}"})


async def _get(port: int, path: str, *fields: str) -> Answer:
    async with connected(port) as client:
        await client.send("\r\n".join([f"GET {path} HTTP/1.1", *fields, "", ""]).encode())
        return await client.answer("GET")


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


BROWSER = ("Sec-Fetch-Site: none", "Sec-Fetch-Mode: navigate", "Accept: text/html")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1:9090", 200),
        ("[::1]:9090", 200),
        ("localhost", 200),
        ("prometheus.internal:9090", 200),
        ("rebound.example", 403),
        ("rebound.example:9090", 403),
        ("127.0.0.1.rebound.example", 403),
    ],
)
async def test_metrics_are_for_hosts_that_the_config_knows(host: str, expected: int) -> None:
    """DNS rebinding: a foreign name gets health alone; a browser may open the page by address."""
    settings = AdminSettings.model_validate(
        {"listen": "127.0.0.1:0", "hosts": ["prometheus.internal"]}
    )
    async with listening(settings, Source(), Deeds()) as port:
        assert port is not None
        for fields in ((), BROWSER):
            answer = await _get(port, "/metrics", f"Host: {host}", *fields)
            assert expected == answer.status
            assert (expected == 200) == (b"gateway_tunnels_total" in answer.body)
        for path in ("/healthz", "/readyz"):
            assert 200 == (await _get(port, path, f"Host: {host}")).status


async def test_a_port_that_is_taken() -> None:
    """The gateway does not start, and says which one."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=f"127.0.0.1:{port}"):
            async with listening(_settings(port), Source(), Deeds()):
                pass
