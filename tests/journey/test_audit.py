"""The audit file of a running gateway, and ``gateway audit verify`` beside it."""

import asyncio
import json
import os
import signal
from base64 import b64encode
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
import redis
from click.testing import CliRunner, Result

from gateway.audit import verify
from gateway.authn.did_token.mint import signer
from gateway.cli.main import main
from tests.fakes.http import fetch
from tests.fakes.lines import whole_lines
from tests.fakes.metrics import figures
from tests.fakes.tokens import ALICE, BOB
from tests.fakes.world import ADMIN, World, world

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY = b64encode(b"a" * 32).decode()

AUDIT = 'audit: {{file: "{file}", key: "{key}", on_failure: {on_failure}}}'

ROUTES = '  - {name: beta, match: {path: "/beta/*"}, upstream: app, allow: {roles: [beta]}}'


class Desk(NamedTuple):
    """A gateway with an audit file, and an operator beside it."""

    around: World
    file: Path

    async def does(self, *words: str) -> Result:
        """What comes of a command; in a thread, as it has an event loop of its own."""
        config = str(self.around.gateway.config)
        return await asyncio.to_thread(CliRunner().invoke, main, [*words, "--config", config])

    def lines(self) -> list[dict[str, Any]]:
        """The lines of the file so far."""
        return [json.loads(line) for line in whole_lines(self.file)]

    def of(self, event: str, subject: str = "") -> list[dict[str, Any]]:
        """The lines of one kind, about ``subject`` where it is given."""
        found = [line for line in self.lines() if line["event"] == event]
        return [line for line in found if subject in ("", line["subject"], line["actor"])]

    async def verify(self, *words: str) -> tuple[int, list[tuple[str, int]]]:
        """Exit status, and the findings."""
        ran = await self.does("audit", "verify", "--json", *words)
        found = json.loads(ran.stdout)["findings"]
        return ran.exit_code, [(each["code"], each["line"]) for each in found]

    async def head_is_kept(self, writer: str, seq: int) -> None:
        """Wait until the store knows a line."""
        with redis.Redis.from_url(self.around.store.url) as client:
            async with asyncio.timeout(20):
                while json.loads(client.get(f"audit:{writer}") or b'{"seq":0}')["seq"] < seq:
                    await asyncio.sleep(0.01)

    async def settled(self) -> None:
        """Wait until the store knows all lines."""
        last = {line["writer"]: line["seq"] for line in self.lines()}
        for writer, seq in last.items():
            await self.head_is_kept(writer, seq)


def audit(file: Path, on_failure: str = "continue") -> str:
    return AUDIT.format(file=file, key=KEY, on_failure=on_failure)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    """One gateway for all tests, in the order of the file; each has a user of its own."""
    folder = tmp_path_factory.mktemp("audit")
    file = folder / "audit.jsonl"
    async with world(
        folder,
        more=audit(file),
        admin=ADMIN,
        more_identity=", roles_from_store: true",
        more_routes=ROUTES,
    ) as around:
        yield Desk(around, file)


def shape(line: dict[str, Any]) -> tuple[Any, ...]:
    """What most lines are compared by."""
    return line["actor"], line["from"], line["subject"], line["result"], line["reason"]


async def test_each_decision_has_its_line(desk: Desk) -> None:
    """It is in the file when the answer is there; nothing in it is a secret; the file verifies."""
    around, ada = desk.around, signer(b"audit of tests, a user to grant!")
    cookie = await around.sign_in(ada)
    [login] = desk.of("user.login", ada.issuer)
    assert (ada.issuer, "127.0.0.1", ada.issuer, "ok", "") == shape(login)
    assert login["request_id"]

    refused = await around.get("/beta/x", cookie)
    assert 403 == refused.status
    async with asyncio.timeout(20):
        while not desk.of("access.refused"):
            await asyncio.sleep(0.01)
    [denied] = desk.of("access.refused")
    assert (ada.issuer, "127.0.0.1", "beta", "refused", "forbidden") == shape(denied)
    assert {"reason": "role_missing", "route": "beta", "path": "/beta/x", "count": 1} == denied[
        "details"
    ]
    assert json.loads(refused.body)["request_id"] == denied["request_id"]

    assert 0 == (await desk.does("roles", "grant", ada.issuer, "beta")).exit_code
    [granted] = desk.of("role.granted")
    assert (ada.issuer, {"roles": ["beta"], "now": ["beta"]}) == (
        granted["subject"],
        granted["details"],
    )
    assert "@" in granted["actor"]
    await desk.does("roles", "revoke", ada.issuer, "beta")
    assert [[]] == [line["details"]["now"] for line in desk.of("role.revoked")]

    assert (
        204
        == (
            await fetch(
                around.port, "DELETE", "/_gateway/session", cookie, "Origin: http://localhost"
            )
        ).status
    )
    [logout] = desk.of("user.logout")
    assert (ada.issuer, login["details"]["session"]) == (
        logout["actor"],
        logout["details"]["session"],
    )

    body = json.dumps({"issuer": ada.issuer}).encode()
    kind = "Content-Type: application/json"
    await fetch(around.gateway.admin_port, "POST", "/api/revocations", kind, body=body)
    await desk.does("sessions", "revoke", BOB.issuer)
    by_api, by_command = desk.of("issuer.revoked")
    assert ("admin-api", "127.0.0.1", ada.issuer, "ok", "") == shape(by_api)
    assert (BOB.issuer, {"sessions_ended": 0}) == (by_command["subject"], by_command["details"])

    created = await desk.does("api-keys", "create", "ci", "--owner", "ci")
    assert created.exit_code == 0, created.stderr
    key_id = json.loads(json.dumps(created.stderr)).split()[1].rstrip(",")
    await desk.does("api-keys", "revoke", key_id)
    subjects = [
        line["subject"] for kind in ("created", "revoked") for line in desk.of(f"api_key.{kind}")
    ]
    assert [f"api-key:{key_id}"] * 2 == subjects

    text = desk.file.read_text()
    for secret in (cookie.partition("=")[2], created.stdout.strip(), KEY):
        assert secret not in text
    await desk.settled()
    assert (0, []) == await desk.verify()


async def test_a_cut_end_is_found_with_its_line(desk: Desk) -> None:
    """So are a changed line and one that is gone; the file as it was verifies again."""
    for _ in range(3):
        await desk.around.sign_in()
    await desk.does("roles", "grant", ALICE.issuer, "x")
    await desk.settled()
    text = desk.file.read_bytes()
    lines = text.splitlines(keepends=True)
    count = len(lines)
    for changed, expected in (
        (lines[:-2], ("cut", count - 2)),
        ([*lines[:2], lines[2].replace(b"127.0.0.1", b"127.0.0.9"), *lines[3:]], ("changed", 3)),
        ([*lines[:2], *lines[3:]], ("missing", 3)),
        ([*lines[:2], lines[3], lines[2], *lines[4:]], ("missing", 3)),
        ([], ("gone", 0)),
    ):
        desk.file.write_bytes(b"".join(changed))
        status, found = await desk.verify()
        assert (1, True) == (status, expected in found), (expected, found)
    desk.file.write_bytes(text)
    assert (0, []) == await desk.verify()
    assert 0 == (await desk.does("audit", "verify", "--no-store")).exit_code


async def test_a_file_of_another_kind_is_told_in_few_lines(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not listed is counted, and the exit status is that of faults."""
    monkeypatch.setattr(verify, "MAX_FINDINGS", 2)
    other = tmp_path / "access.log"
    other.write_text("a line\n" * 5)
    ran = await desk.does("audit", "verify", "--no-store", str(other))
    assert (1, True) == (ran.exit_code, "and 3 more\n5 lines of 0 writers" in ran.stdout)
    assert ran.stderr.endswith("5 faults\n")
    ran = await desk.does("audit", "verify", "--no-store", "--json", str(other))
    found = json.loads(ran.stdout)
    assert (False, 2, 3) == (found["ok"], len(found["findings"]), found["more"])


async def test_commands_of_other_machines_send_their_line(desk: Desk, monkeypatch: Any) -> None:
    """Where the file cannot be written; a line without the key's seal is not taken."""
    config = desk.around.gateway.config
    text = config.read_text()
    elsewhere = config.with_name("elsewhere.yaml")
    elsewhere.write_text(text.replace(str(desk.file), "/nonexistent/audit.jsonl"))
    monkeypatch.setenv("GATEWAY_ADMIN_URL", f"http://127.0.0.1:{desk.around.gateway.admin_port}")
    words = ["roles", "grant", ALICE.issuer, "x", "--config", str(elsewhere)]
    ran = await asyncio.to_thread(CliRunner().invoke, main, words)
    assert (0, "") == (ran.exit_code, ran.stderr)
    line = desk.of("role.granted")[-1]
    assert ("gateway", "127.0.0.1") == (line["writer"].split(":")[1], line["details"]["sent_from"])

    own = desk.file.with_name("own.jsonl")
    ran = await asyncio.to_thread(CliRunner().invoke, main, [*words, "--audit-file", str(own)])
    assert (0, 1) == (ran.exit_code, len(own.read_text().splitlines()))

    kind = "Content-Type: application/json"
    body = b'{"line":"{}","mac":"00"}'
    port = desk.around.gateway.admin_port
    assert 400 == (await fetch(port, "POST", "/api/audit", kind, body=body)).status

    monkeypatch.setenv("GATEWAY_ADMIN_URL", "http://127.0.0.1:1")
    ran = await asyncio.to_thread(CliRunner().invoke, main, words)
    assert (0, True) == (ran.exit_code, "not in the audit file" in ran.stderr)

    elsewhere.write_text(elsewhere.read_text().replace("continue", "refuse"))
    words[3] = "y"
    ran = await asyncio.to_thread(CliRunner().invoke, main, words)
    shown = await desk.does("roles", "show", ALICE.issuer)
    assert (1, True, "x\n") == (ran.exit_code, "is refuse" in ran.stderr, shown.stdout)
    monkeypatch.setenv("GATEWAY_ADMIN_URL", f"http://127.0.0.1:{port}")
    ran = await asyncio.to_thread(CliRunner().invoke, main, words)
    assert (0, "x\ny\n") == (ran.exit_code, ran.stdout)


async def test_a_rotated_file_is_followed(desk: Desk) -> None:
    """After SIGUSR1 the chain goes on in the new file; both together verify as complete."""
    await desk.around.sign_in()
    old = desk.file.rename(desk.file.with_suffix(".1"))
    desk.around.gateway.process.send_signal(signal.SIGUSR1)
    async with asyncio.timeout(20):
        while not (desk.file.exists() and desk.of("audit.file_opened")):
            await asyncio.sleep(0.01)
    await desk.around.sign_in()
    assert 1 == len(desk.of("user.login"))
    await desk.settled()
    assert (0, [("older-files", 1)]) == await desk.verify()
    own = desk.file.with_name("own.jsonl")
    assert (0, []) == await desk.verify("--complete", str(desk.file), str(old), str(own))
    assert (0, True) == ((await desk.verify(str(old)))[0], b"audit.file_left" in old.read_bytes())


async def test_a_reload_is_recorded_with_the_hash_of_the_file(desk: Desk) -> None:
    """Also one that is refused; and a new file begins a new chain."""
    config = desk.around.gateway.config
    old = desk.file.with_suffix(".1")
    [loaded] = desk._replace(file=old).of("config.loaded")
    assert sha256(config.read_bytes()).hexdigest() == loaded["details"]["sha256"]
    good = config.read_text()
    for text, result in ((good + "\n# changed\n", "ok"), (good + "\nx: 1\n", "refused")):
        config.write_text(text)
        desk.around.gateway.process.send_signal(signal.SIGHUP)
        async with asyncio.timeout(20):
            while result not in [line["result"] for line in desk.of("config.reloaded")]:
                await asyncio.sleep(0.01)
        assert (
            sha256(text.encode()).hexdigest() == desk.of("config.reloaded")[-1]["details"]["sha256"]
        )

    other = desk.file.with_name("other.jsonl")
    config.write_text(good.replace(str(desk.file), str(other)))
    desk.around.gateway.process.send_signal(signal.SIGHUP)
    async with asyncio.timeout(20):
        while not (other.exists() and "config.reloaded" in other.read_text()):
            await asyncio.sleep(0.01)
    async with asyncio.timeout(20):
        while not desk.of("audit.ended"):
            await asyncio.sleep(0.01)
    await desk.settled()
    await desk._replace(file=other).settled()
    assert 0 == (await desk.verify(str(old), str(desk.file), str(other)))[0]


async def test_workers_have_a_chain_each(tmp_path: Path) -> None:
    """
    Also their supervisor, whose lines are counted as theirs are.

    A worker that is killed leaves a chain that verifies.
    """
    file = tmp_path / "audit.jsonl"
    async with world(tmp_path, more=audit(file), admin=ADMIN, workers="2") as around:
        desk = Desk(around, file)
        for _ in range(8):
            await around.sign_in()
        written, port = 'gateway_audit_lines_total{outcome="written"}', around.gateway.admin_port
        async with asyncio.timeout(30):
            while (await figures(port))[written] != len(desk.lines()):
                await asyncio.sleep(0.01)
        process = around.gateway.workers()[1]
        os.kill(process, signal.SIGKILL)
        async with asyncio.timeout(30):
            while not any("ended with status" in message for message in around.gateway.messages):
                await asyncio.sleep(0.01)
        await around.sign_in()
        roles = {line["writer"].split(":")[1] for line in desk.lines()}
        assert {"worker-1", "worker-2", "supervisor"} == roles
        assert ("supervisor", 9) == (
            desk.of("config.loaded")[0]["writer"].split(":")[1],
            len(desk.of("user.login")),
        )
        assert (0, []) == await desk.verify("--complete")


async def test_a_full_disk_refuses_sign_ins_where_the_config_says_so(tmp_path: Path) -> None:
    """Signing out works on, and readiness tells of it. The other choice goes on without lines."""
    full = tmp_path / "full"
    launcher = ("sh", "-c", 'ulimit -f 8; exec "$@"', "sh")
    async with world(tmp_path, *launcher, more=audit(full, "refuse"), admin=ADMIN) as around:
        cookie = await around.sign_in()
        assert 1 == (await figures(around.gateway.admin_port))["gateway_audit_up"]
        statuses = []
        for _ in range(20):
            bearer = around.bearer()
            statuses.append((await fetch(around.port, "POST", "/_gateway/session", bearer)).status)
            if 503 in statuses:
                break
        assert 503 == statuses[-1]
        ready = await fetch(around.gateway.admin_port, "GET", "/readyz")
        assert "failing" == json.loads(ready.body)["audit"]
        assert 0 == (await figures(around.gateway.admin_port))["gateway_audit_up"]
        out = await fetch(
            around.port, "DELETE", "/_gateway/session", cookie, "Origin: http://localhost"
        )
        assert 204 == out.status
