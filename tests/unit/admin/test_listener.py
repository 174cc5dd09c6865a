"""The private listener."""

import socket

import pytest

from gateway.audit.switch import AuditSwitch
from gateway.config.server import AdminSettings
from gateway.core.audit import AuditEntry
from gateway.core.errors import StartError
from tests.fakes.admin import Deeds, Source, Works, listening
from tests.fakes.http import Answer, connected, fetch


def _settings(port: int) -> AdminSettings:
    return AdminSettings.model_validate({"listen": f"127.0.0.1:{port}"})


async def _get(port: int, path: str, *fields: str) -> Answer:
    async with connected(port) as client:
        await client.send("\r\n".join([f"GET {path} HTTP/1.1", *fields, "", ""]).encode())
        return await client.answer("GET")


async def test_it_serves_health_and_the_api() -> None:
    """On a port of its own."""
    async with listening(_settings(0), Source(), Deeds()) as port:
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


class Lines(AuditSwitch):
    """Keeps what was noted."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[AuditEntry] = []

    def note(self, entry: AuditEntry) -> None:
        self.noted.append(entry)


TOKEN = "a token for tests that is long enough"
FORM = "Content-Type: application/x-www-form-urlencoded"
JSON = "Content-Type: application/json"


@pytest.mark.parametrize(
    ("method", "path", "fields", "reason"),
    [
        ("POST", "/api/actions/drain", (JSON,), "token_required"),
        ("POST", "/api/actions/drain?token=SECRET", (JSON,), "token_required"),
        ("POST", "/api/actions/drain", (JSON, "Authorization: Bearer SECRET"), "wrong_token"),
        ("POST", "/api/actions/drain", (JSON, "Cookie: gateway-admin=SECRET"), "token_required"),
        ("POST", "/api/actions/drain", (JSON, "Origin: https://evil.example"), "forbidden"),
        ("POST", "/sign-in", (FORM,), "wrong_token"),
        ("POST", "/sign-in", (FORM, "Sec-Fetch-Site: cross-site"), "forbidden"),
        ("GET", "/", ("Authorization: Bearer SECRET",), "wrong_token"),
        ("GET", "/api/people?q=SECRET", (), "token_required"),
    ],
)
async def test_what_is_denied_has_a_line_without_what_was_sent(
    method: str, path: str, fields: tuple[str, ...], reason: str
) -> None:
    """Beside it, what is admitted has none of this kind."""
    settings = AdminSettings.model_validate({"listen": "127.0.0.1:0", "token": TOKEN})
    lines = Lines()
    async with listening(settings, Source(), Deeds(), lines, Works()) as port:
        bearer = f"Authorization: Bearer {TOKEN}"
        for admitted in ("/", "/healthz", "/api/people"):
            assert 200 == (await fetch(port, "GET", admitted, bearer)).status
        assert [] == lines.noted
        answer = await fetch(port, method, path, *fields, body=b"token=SECRET")
        assert answer.status in (401, 403)
    [line] = lines.noted
    assert ("admin.refused", "refused", reason) == (line.event, line.result, line.reason)
    assert ("127.0.0.1", path.partition("?")[0]) == (line.origin, line.subject)
    assert "SECRET" not in str(line)


async def test_an_unknown_action_has_a_line_of_one_kind() -> None:
    """Its name is the client's own: it would make as many kinds of lines as it likes."""
    settings = AdminSettings.model_validate({"listen": "127.0.0.1:0", "token": TOKEN})
    lines = Lines()
    async with listening(settings, Source(), Deeds(), lines, Works()) as port:
        for number in range(5):
            path = f"/api/actions/{number}"
            assert 401 == (await fetch(port, "POST", path, JSON, body=b"{}")).status
    assert ["/api/actions/{unknown}"] == [line.subject for line in lines.noted]
