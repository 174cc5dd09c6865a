"""``gateway explain`` and ``POST /api/explain``, beside a running gateway and its store."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import redis
from click.testing import CliRunner, Result

from gateway.cli.main import main
from tests.fakes.http import fetch
from tests.fakes.tokens import ALICE, BOB
from tests.fakes.world import ADMIN, World

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG_CHANGES = {
    "admin": ADMIN,
    "workers": "2",
    "client_ip": "x-forwarded-for",
    "trusted_proxies": '["127.0.0.1/32"]',
    "more_session": ", idle: 1h",
    "more_identity": ", roles_from_store: true",
    "more_limits": """
  places: {concurrent: 2}
  few: {rate: 3/day, overrides: true}
""",
    "more_routes": """
  - {name: few, match: {path: "/few/*"}, limits: [few, places], upstream: app}
  - {name: staff, match: {path: "/staff/*"}, upstream: app, allow: [{roles: [staff]}]}
""",
}

VIA = "X-Forwarded-For: 198.51.100.7"


async def _explain(around: World, *words: str) -> Result:
    """What the command says; in a thread, as it has an event loop of its own."""
    config = str(around.gateway.config)
    words = ("explain", *words, "--config", config)
    return await asyncio.to_thread(CliRunner().invoke, main, words)


async def _as_json(around: World, *words: str) -> tuple[int, dict[str, Any]]:
    ran = await _explain(around, *words, "--json")
    return ran.exit_code, json.loads(ran.stdout)


def _stage(found: dict[str, Any], name: str) -> dict[str, Any]:
    [stage] = [stage for stage in found["stages"] if stage["stage"] == name]
    return dict(stage)


def _logged(around: World, path: str) -> list[dict[str, object]]:
    """The lines of the access log about ``path`` so far."""
    return [line for line in around.gateway.log_lines() if line["path"] == path]


def _content(around: World) -> dict[Any, tuple[bytes | None, Any]]:
    """All that is in the store, with the ends of what ends."""
    client = redis.Redis.from_url(around.store.url)
    keys: Any = client.keys()
    return {key: (client.dump(key), client.pexpiretime(key)) for key in keys}


async def test_a_request_is_explained_as_it_was_served(around: World, tmp_path: Path) -> None:
    """Route, caller and the fields that the app got are those of the live request."""
    cookie = await around.sign_in(ALICE)
    jar = tmp_path / "cookies"
    jar.write_text(cookie.removeprefix("Cookie: "))
    answer = await fetch(around.port, "GET", "/few/x?a=b", cookie, VIA, "X-User-Email: evil@a")
    assert 200 == answer.status
    [seen] = around.app.seen

    words = ("GET", "/few/x?a=b", "-H", VIA, "-H", "X-User-Email: evil@a", "--peer", "127.0.0.1")
    status, found = await _as_json(around, *words, "--cookie-file", str(jar))

    assert (0, "few", "admitted", None) == (
        status,
        *(found[name] for name in ("route", "verdict", "status")),
    )
    assert "198.51.100.7" == _stage(found, "client")["client"]
    assert [("few", 1)] == [
        (each["limit"], each["remaining"]) for each in _stage(found, "limits")["limits"]
    ]
    [session] = _stage(found, "credentials")["credentials"]
    assert ("session", "valid", ALICE.issuer) == (
        *(session[name] for name in ("kind", "verdict", "issuer")),
    )
    written = dict(_stage(found, "fields")["written"])
    got = {name: value for name, value in seen.headers if name in written}
    assert {**got, "X-Request-Id": ""} == {**written, "X-Request-Id": ""}
    assert ALICE.issuer == written["X-User-Issuer"]
    secret = cookie.partition("=")[2]
    assert secret not in json.dumps(found)


async def test_an_explanation_leaves_the_store_as_it_is(around: World) -> None:
    """No limit is charged, no session touched, no place taken, however often it is asked."""
    cookie = await around.sign_in(ALICE)
    for _ in range(3):
        await fetch(around.port, "GET", "/few/y", cookie, "X-Forwarded-For: 198.51.100.9")
    before = _content(around)
    words = ("GET", "/few/y", "-H", cookie, "-H", "X-Forwarded-For: 198.51.100.9")
    for _ in range(3):
        status, found = await _as_json(around, *words)
        assert (1, 429, "rate_limited", "limit few") == (
            status,
            *(found[name] for name in ("status", "code", "reason")),
        )
        status, found = await _as_json(around, "GET", "/few/y", "-H", "Authorization: Bearer x")
        assert (1, 401, "invalid_token") == (status, found["status"], found["code"])
        status, found = await _as_json(around, "GET", "/few/y", "-H", cookie)
        assert (0, "passed") == (status, _stage(found, "concurrency")["verdict"])
    assert before == _content(around)


async def test_the_private_listener_explains_by_the_config_that_serves(around: World) -> None:
    """The same document; what is no question is refused, and pages of browsers are."""

    async def asked(document: object, *fields: str) -> tuple[int, dict[str, Any]]:
        fields = ("Content-Type: application/json", *fields)
        body = json.dumps(document).encode()
        port = around.gateway.admin_port
        answer = await fetch(port, "POST", "/api/explain", *fields, body=body)
        return answer.status, json.loads(answer.body)

    around.magic.add_user(ALICE.issuer, "alice@example.com")
    question = {"method": "GET", "url": "/staff/x", "as": ALICE.issuer, "headers": {"X-A": "b"}}
    status, found = await asked(question)
    assert (200, "staff", 403, "role_missing") == (
        status,
        *(found[name] for name in ("route", "status", "reason")),
    )
    client = redis.Redis.from_url(around.store.url)
    client.set(f"roles:{ALICE.issuer}", '["staff"]')
    status, found = await asked({**question, "url": "http://localhost/staff/%78"})
    assert (200, "admitted") == (status, found["verdict"])
    assert ["staff"] == _stage(found, "roles")["roles"]
    assert f"http://127.0.0.1:{around.app.port}" == _stage(found, "upstream")["server"]
    wrongs: list[object] = [[], {"method": "GET"}, {**question, "peer": "x"}]
    for wrong in (*wrongs, {**question, "as": "x"}):
        assert 400 == (await asked(wrong))[0], wrong
    assert 403 == (await asked(question, "Origin: http://localhost:3000"))[0]


async def test_a_past_request_is_explained_by_its_line(around: World, tmp_path: Path) -> None:
    """What was logged comes first, then the same request again."""
    cookie = await around.sign_in(BOB)
    await fetch(around.port, "GET", "/staff/past?secret=1", cookie)
    log = around.gateway.config.parent / "access.log"
    async with asyncio.timeout(20):
        while not (entries := _logged(around, "/staff/past")):
            await asyncio.sleep(0.01)
    [entry] = entries

    ran = await _explain(around, "--request-id", str(entry["id"]), "--log", str(log))

    said = ran.stdout.splitlines()
    assert "logged: 403 forbidden (role_missing), by route staff" == said[0]
    again = said[said.index("The same request now, as far as the log has it:") + 2 :]
    assert "403 forbidden (role_missing), by route staff" == again[0]
    assert 1 == ran.exit_code
    assert 2 == (await _explain(around, "--request-id", "none", "--log", str(log))).exit_code


async def test_a_store_that_is_needed_and_down_has_an_exit_status_of_its_own(
    around: World, tmp_path: Path
) -> None:
    """The answer is what a gateway without its store would say, and is marked as such."""
    text = around.gateway.config.read_text().replace(around.store.url, "redis://127.0.0.1:1")
    config = tmp_path / "down.yaml"
    config.write_text(text)
    for target, expected in (("/%2e", 1), ("/few/x", 3)):
        words = ("explain", "GET", target, "--config", str(config))
        ran = await asyncio.to_thread(CliRunner().invoke, main, words)
        assert expected == ran.exit_code, ran.output
        assert (expected == 3) == ("gateway: not reached: " in ran.stderr)
