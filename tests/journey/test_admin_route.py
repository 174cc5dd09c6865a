"""The dashboard through the gateway itself, for people with a role; by one process and by two."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
from click.testing import CliRunner

from gateway.cli.main import main
from tests.fakes.http import RawClient, connected, fetch
from tests.fakes.lines import whole_lines
from tests.fakes.tokens import ALICE, BOB
from tests.fakes.world import World, world

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY = b64encode(b"r" * 32).decode()
JSON = "Content-Type: application/json"
WITHIN_S = 20


class Desk(NamedTuple):
    """A gateway with a route to its dashboard."""

    around: World
    folder: Path

    def audited(self, event: str) -> list[dict[str, Any]]:
        """The lines of one kind."""
        lines = map(json.loads, whole_lines(self.folder / "audit.jsonl"))
        return [line for line in lines if line["event"] == event]

    async def by_socket(self, path: str) -> int:
        """The status of an answer on the unix socket."""
        reader, writer = await asyncio.open_unix_connection(str(self.folder / "admin.sock"))
        client = RawClient(reader, writer)
        await client.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        status = (await client.answer("GET")).status
        writer.close()
        return status


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=["1", "2"])
async def desk(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    async with world(
        folder,
        admin=f'{{listen: "unix:{folder}/admin.sock", route: ops}}',
        workers=request.param,
        more=f'audit: {{file: "{folder}/audit.jsonl", key: "{KEY}"}}',
        more_identity=f', roles: [{{role: ops, issuers: ["{ALICE.issuer}"]}}]',
        publishable_key="pk_live_1234567890ABCDEF",
        more_routes='  - {name: ops, match: {path: "/ops/*"}, allow: {roles: [ops]}}\n',
    ) as around:
        yield Desk(around, folder)


async def test_people_with_the_role_see_the_dashboard(desk: Desk) -> None:
    """All others are sent to the login page, or refused; the page knows where it lies."""
    around = desk.around
    page = await around.get("/ops/", "Accept: text/html")
    assert (302, True) == (page.status, "/_gateway/login" in page.value("Location"))
    assert 401 == (await around.get("/ops/api/config")).status
    bob = await around.sign_in(BOB)
    for path in ("/ops", "/ops/", "/ops/api/config", "/ops/api/events", "/ops/assets/1/x"):
        assert 403 == (await around.get(path, bob)).status
    alice = await around.sign_in(ALICE)
    for path in ("/ops", "/ops/"):
        page = await around.get(path, alice)
        assert (200, True) == (page.status, b'<base href="/ops/">' in page.body)
        assert "base-uri 'self'" in page.value("Content-Security-Policy")
        assert not page.values("Server")
    assert 200 == (await around.get("/ops/api/config", alice)).status
    for path in ("/metrics", "/healthz", "/readyz", "/api/audit", "/sign-in"):
        assert 404 == (await around.get(f"/ops{path}", alice)).status
    assert 200 == await desk.by_socket("/metrics")


async def test_a_client_cannot_name_a_person(desk: Desk) -> None:
    """The field is dropped, in any spelling, with a person signed in and without."""
    told = "%7B%22user%22:%7B%22issuer%22:%22x%22,%22email%22:%22%22%7D%7D"
    for name in ("X-Gateway-Identity", "x_gateway_identity"):
        assert 401 == (await desk.around.get("/ops/api/config", f"{name}: {told}")).status


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        pytest.param("/ops/api/config", ["Cookie: of-app=SECRET" + 9000 * "x"], id="cookies"),
        pytest.param("/ops/api/config", ["X-Own: SECRET" + 9000 * "x"], id="field"),
        pytest.param("/ops/api/config?t=SECRET" + 9000 * "x", [], id="query"),
        pytest.param("/ops/api/config", [f"X-{number}: 1" for number in range(90)], id="fields"),
    ],
)
async def test_what_the_gateway_lets_pass_is_not_too_long_for_the_dashboard(
    desk: Desk, path: str, fields: list[str]
) -> None:
    """Nor is any of it repeated: cookies of apps are kept from scripts."""
    alice = await desk.around.sign_in(ALICE)
    if fields and fields[0].startswith("Cookie: "):
        alice, fields = f"{alice}; {fields[0].removeprefix('Cookie: ')}", []
    answer = await desk.around.get(path, alice, *fields)
    assert (200, False) == (answer.status, b"SECRET" in answer.body)
    assert not answer.values("Server")


async def test_an_action_names_the_person_in_the_audit_file(desk: Desk) -> None:
    """With the client's address; a page of another origin does nothing."""
    around, action = desk.around, ("POST", "/ops/api/revocations", JSON)
    alice = await around.sign_in(ALICE)
    body = json.dumps({"issuer": BOB.issuer}).encode()
    for field in ("Origin: https://evil.example", "Sec-Fetch-Site: cross-site", "X-None: 1"):
        refused = await fetch(around.port, *action, alice, field, body=body)
        assert 403 == refused.status
    assert [] == desk.audited("issuer.revoked")
    done = await fetch(around.port, *action, alice, "Origin: http://localhost", body=body)
    assert (200, BOB.issuer) == (done.status, json.loads(done.body)["issuer"])
    [line] = desk.audited("issuer.revoked")
    assert (ALICE.issuer, "127.0.0.1") == (line["actor"], line["from"])
    assert "alice@example.com" == line["details"]["email"]


async def test_figures_come_as_they_are_made(desk: Desk) -> None:
    """Each second, held back by nothing."""
    alice = await desk.around.sign_in(ALICE)
    async with connected(desk.around.port) as client, asyncio.timeout(WITHIN_S):
        lines = ("GET /ops/api/events HTTP/1.1", "Host: localhost", alice, "", "")
        await client.send("\r\n".join(lines).encode())
        for name in (b"hello", b"figures", b"figures"):
            await client.reader.readuntil(b"event: " + name + b"\n")


async def test_commands_ask_by_the_unix_socket(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """How it is; and they send audit lines where the file cannot be written."""
    config = desk.around.gateway.config
    elsewhere = config.with_name("elsewhere.yaml")
    text = config.read_text().replace(f"{desk.folder}/audit.jsonl", "/nonexistent/audit.jsonl")
    elsewhere.write_text(text)
    words = ["health", "--config", str(elsewhere)]
    ran = await asyncio.to_thread(CliRunner().invoke, main, words)
    assert (0, True) == (ran.exit_code, ran.stdout.startswith("ready: ok")), ran.stderr
    monkeypatch.delenv("GATEWAY_ADMIN_URL", raising=False)
    words = ["sessions", "revoke", BOB.issuer, "--config", str(elsewhere)]
    before = len(desk.audited("issuer.revoked"))
    ran = await asyncio.to_thread(CliRunner().invoke, main, words)
    assert (0, "") == (ran.exit_code, ran.stderr), ran.stdout
    line = desk.audited("issuer.revoked")[before:][0]
    assert "unix:" == line["details"]["sent_from"]


async def test_an_open_dashboard_does_not_hold_a_drain_up(desk: Desk) -> None:
    """Its events end, which no app would end; and the sockets go with the gateway."""
    assert 200 == await desk.by_socket("/")
    alice = await desk.around.sign_in(ALICE)
    async with connected(desk.around.port) as client, asyncio.timeout(WITHIN_S):
        lines = ("GET /ops/api/events HTTP/1.1", "Host: localhost", alice, "", "")
        await client.send("\r\n".join(lines).encode())
        await client.reader.readuntil(b"event: figures\n")
        stopping = asyncio.create_task(desk.around.gateway.stop())
        assert b'"status":"draining"' in await client.reader.read()
        assert 0 == await stopping
    assert not (desk.folder / "admin.sock").exists()
