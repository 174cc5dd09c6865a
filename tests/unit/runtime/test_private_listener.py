"""The private listener of a process: its sockets and their files."""

import asyncio
import ssl
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import pytest

from gateway.admin.listener import AdminServices
from gateway.config.schema import Settings
from gateway.core.errors import StartError
from gateway.runtime.private_listener import dashboard_socket, private_listener
from tests.fakes.admin import Deeds, Source
from tests.fakes.certificates import Authority
from tests.fakes.http import RawClient, fetch

TOKEN = "a token for tests that is long enough"
ROUTES = [{"name": "ops", "match": {"path": "/ops/*"}, "allow": [{"roles": ["ops"]}]}]


def _settings(admin: dict[str, Any] | None) -> Settings:
    return Settings.model_validate(
        {
            "server": {"public_url": "https://app.example.com"},
            "redis": {"url": "redis://127.0.0.1"},
            "magic": {"secret_key": "sk_live_1"},
            "admin": admin,
            "routes": ROUTES,
        }
    )


@asynccontextmanager
async def _running(settings: Settings) -> AsyncIterator[tuple[str | None, str | None]]:
    with dashboard_socket(settings) as route:
        services = AdminServices(Source(), Deeds())
        async with private_listener(lambda: settings, services, route) as name:
            yield name, route


async def _get(path: str, url: str, *fields: str) -> tuple[int, bytes]:
    reader, writer = await asyncio.open_unix_connection(path)
    client = RawClient(reader, writer)
    lines = [f"GET {url} HTTP/1.1", "Host: localhost", *fields, "", ""]
    await client.send("\r\n".join(lines).encode())
    answer = await client.answer("GET")
    writer.close()
    return answer.status, answer.body


async def test_without_admin_there_is_none() -> None:
    """Neither a listener nor a route."""
    async with _running(_settings(None)) as (name, route):
        assert (None, None) == (name, route)


async def test_a_unix_socket_for_owner_and_group(tmp_path: Path) -> None:
    """All that may open it are on this machine; the file goes with the listener."""
    path = tmp_path / "admin.sock"
    async with _running(_settings({"listen": f"unix:{path}"})) as (name, route):
        assert (f"unix:{path}", None) == (name, route)
        assert 0o660 == stat.S_IMODE(path.stat().st_mode)
        assert 200 == (await _get(str(path), "/"))[0]
        assert 200 == (await _get(str(path), "/metrics"))[0]
        assert 403 == (await _get(str(path), "/", "X-Forwarded-For: 127.0.0.1"))[0]
        with pytest.raises(StartError, match=r"^admin\.listen: .*another process listens there"):
            async with _running(_settings({"listen": f"unix:{path}"})):
                pass
        assert 200 == (await _get(str(path), "/healthz"))[0]
    assert not path.exists()


async def test_a_socket_with_a_token_needs_it(tmp_path: Path) -> None:
    """Probes and metrics do not."""
    path = str(tmp_path / "admin.sock")
    async with _running(_settings({"listen": f"unix:{path}", "token": TOKEN})):
        assert 401 == (await _get(path, "/"))[0]
        assert 200 == (await _get(path, "/", f"Authorization: Bearer {TOKEN}"))[0]
        assert 200 == (await _get(path, "/metrics"))[0]


async def test_the_socket_of_the_route_is_for_this_gateway_alone() -> None:
    """Its folder may be entered by its owner alone, and nothing is told without a person."""
    settings = _settings({"listen": "127.0.0.1:0", "route": "ops", "token": TOKEN})
    async with _running(settings) as (name, route):
        assert name is not None
        assert route is not None
        folder = Path(route).parent
        assert 0o700 == stat.S_IMODE(folder.stat().st_mode)
        user = {"issuer": "did:ethr:0xA", "email": "ada@example.com"}
        person = "X-Gateway-Identity: " + quote(orjson.dumps({"user": user}).decode())
        for path in ("/", "/api/events", "/metrics", "/healthz"):
            assert 403 == (await _get(route, path))[0]
            assert 403 == (await _get(route, path, f"Authorization: Bearer {TOKEN}"))[0]
        for path in ("/metrics", "/healthz", "/readyz", "/sign-in", "/api/audit"):
            assert 404 == (await _get(route, path, person))[0]
        status, page = await _get(route, "/", person, "X-Forwarded-Prefix: /a&b")
        assert (200, True) == (status, b'<head>\n<base href="/a&amp;b/">' in page)
        assert b"<base" not in (await _get(route, "/", person))[1]
        port = int(name.rpartition(" ")[2])
        assert 401 == (await fetch(port, "GET", "/", person)).status
    assert not folder.exists()


async def test_certificates_are_as_good_as_the_token(tmp_path: Path) -> None:
    """With one of the names; without one, probes and metrics are answered alone."""
    authority = Authority(tmp_path)
    pair = authority.issue("localhost", file="server")
    tls = {
        "certificate": pair.certificate,
        "key": pair.key,
        "client_ca": str(authority.file),
        "names": ["*@ops.example.com"],
    }
    async with _running(_settings({"listen": "127.0.0.1:0", "tls": tls})) as (name, _):
        assert name is not None
        port = int(name.rpartition(" ")[2])

        async def status(path: str, email: str = "") -> int:
            client = ssl.create_default_context(cafile=str(authority.file))
            if email:
                client.load_cert_chain(*authority.issue(email, file="client"))
            return (await fetch(port, "GET", path, tls=client)).status

        assert 200 == await status("/", "ada@ops.example.com")
        assert 403 == await status("/", "ada@example.com")
        assert 403 == await status("/")
        assert 200 == await status("/metrics")


def test_a_folder_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway does not start, and says why."""

    def full(**_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.mkdtemp", full)
    settings = _settings({"route": "ops"})
    with pytest.raises(StartError, match="No space left"), dashboard_socket(settings):
        pass
