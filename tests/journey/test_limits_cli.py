"""``gateway limits``, beside a running gateway."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import redis
from click.testing import CliRunner, Result

from gateway.authn.did_token.mint import signer
from gateway.cli.main import main
from gateway.core.email import canonical_email
from tests.fakes.http import fetch
from tests.fakes.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

CLIENT = "198.51.100.%d"
CONFIG_CHANGES = {
    "client_ip": "x-forwarded-for",
    "trusted_proxies": '["127.0.0.1/32"]',
    "more": "",
    "more_routes": """
  - {name: many, match: {path: "/many/*"}, auth: none, limits: [many], upstream: app}
  - {name: person, match: {path: "/person/*"}, limits: [person], upstream: app}
  - {name: few, match: {path: "/few/*"}, auth: none, limits: [few], upstream: app}
  - {name: watched, match: {path: "/watched/*"}, auth: none, limits: [watched], upstream: app}
  - {name: mine, match: {path: "/mine/*"}, limits: [many], upstream: app}
""",
    "failures": """1000000/minute}
  places: {concurrent: 2}
  few: {rate: 3/day, overrides: true, deny: [203.0.113.0/24]}
  many: {rate: 1000/day}
  person: {rate: 2/day, per: issuer, overrides: true}
  watched: {rate: 1/day, mode: shadow""",
}


def _from(last: int) -> str:
    """Return the field line of a client that no other test uses."""
    return f"X-Forwarded-For: {CLIENT % last}"


async def _gateway(around: World, *words: str) -> Result:
    """What the command says; in a thread, as it has an event loop of its own."""
    config = str(around.gateway.config)
    return await asyncio.to_thread(CliRunner().invoke, main, ["limits", *words, "--config", config])


async def _ok(around: World, *words: str) -> Any:
    """What a command that succeeds says in JSON."""
    ran = await _gateway(around, *words, "--json")
    assert 0 == ran.exit_code, ran.output
    return json.loads(ran.stdout)


async def _becomes(around: World, status: int, path: str, *fields: str) -> None:
    async with asyncio.timeout(20):
        while (await around.get(path, *fields)).status != status:
            await asyncio.sleep(0.005)


async def _statuses(around: World, path: str, last: int, times: int) -> list[int]:
    return [(await around.get(path, _from(last))).status for _ in range(times)]


async def test_a_client_is_denied_and_admitted_at_once(around: World) -> None:
    """By address; it is refused before anything is charged, and others go on."""
    assert 200 == (await around.get("/many/x", _from(1))).status
    assert {"limit": "many", "list": "deny", "entry": CLIENT % 1, "is_listed": True} == await _ok(
        around, "deny", "many", CLIENT % 1
    )
    await _becomes(around, 403, "/many/x", _from(1))
    refused = await around.get("/many/x", _from(1))
    assert "denied_by_limit" == refused.code
    assert 200 == (await around.get("/many/x", _from(2))).status
    assert 200 == (await around.get("/public/x", _from(1))).status
    used = json.loads((await _gateway(around, "show", "many", CLIENT % 1, "--json")).stdout)["used"]
    assert 403 == (await around.get("/many/x", _from(1))).status
    shown = await _gateway(around, "show", "many", CLIENT % 1)
    assert f": {used} used" in shown.output
    assert (1, True) == (shown.exit_code, "on the deny list" in shown.output)
    await _ok(around, "deny", "many", CLIENT % 1, "--remove")
    await _becomes(around, 200, "/many/x", _from(1))
    assert [] == (await _ok(around, "show", "many", CLIENT % 1))["lists"]
    again = await _gateway(around, "deny", "many", CLIENT % 1, "--remove")
    assert (1, True) == (again.exit_code, "was not on the list" in again.output)


async def test_a_network_of_the_config_is_denied(around: World) -> None:
    """The operator is told so, too."""
    assert 403 == (await around.get("/few/x", "X-Forwarded-For: 203.0.113.7")).status
    shown = await _gateway(around, "show", "few", "203.0.113.7", "--json")
    assert (1, ["deny"]) == (shown.exit_code, json.loads(shown.stdout)["lists"])


async def test_a_file_of_the_config_is_looked_into(around: World, tmp_path: Path) -> None:
    """As gateways do at start; one that cannot be used is told, and the rest is shown."""
    listed, config = tmp_path / "deny", tmp_path / "gateway.yaml"
    text = around.gateway.config.read_text()
    config.write_text(text.replace("[203.0.113.0/24]", f"[{{file: {listed}}}]"))
    words = ["limits", "show", "few", "192.0.2.99", "--config", str(config)]
    for content, status, told in (("192.0.2.99", 1, "on the deny list"), ("x", 0, "left out")):
        listed.write_text(content)
        ran = await asyncio.to_thread(CliRunner().invoke, main, words)
        assert (status, True) == (ran.exit_code, told in ran.output)


async def test_a_client_is_not_counted(around: World) -> None:
    """However often it comes; the entry ends by itself."""
    await _ok(around, "allow", "few", CLIENT % 3, "--for", "1h")
    [entry] = await _ok(around, "list", "few")
    assert ("few", "allow", CLIENT % 3) == (entry["limit"], entry["list"], entry["entry"])
    assert entry["expires_at"] is not None
    listed = await _gateway(around, "list")
    assert f"few  allow  {CLIENT % 3}  until {entry['expires_at'][:13]}" in listed.output
    async with asyncio.timeout(20):
        while [200] * 4 != await _statuses(around, "/few/x", 3, 4):
            await _gateway(around, "reset", "few", CLIENT % 3)
    before = await _ok(around, "show", "few", CLIENT % 3)
    assert [200] * 4 == await _statuses(around, "/few/x", 3, 4)
    after = await _ok(around, "show", "few", CLIENT % 3)
    assert (before["used"], ["allow"]) == (after["used"], after["lists"])
    await _ok(around, "allow", "few", CLIENT % 3, "--remove")
    assert 1 == (await _gateway(around, "list", "few")).exit_code


async def test_a_user_is_denied_by_email(around: World) -> None:
    """Once authenticated; an email address in any spelling."""
    cookie = await around.sign_in(signer(bytes([41, 1]) * 16), 900, _from(4))
    assert 200 == (await around.get("/mine/x", cookie, _from(4))).status
    await _ok(around, "deny", "many", "Alice@Example.com")
    await _becomes(around, 403, "/mine/x", cookie, _from(4))
    await _ok(around, "deny", "many", canonical_email("alice@example.com"), "--remove")


async def test_a_limit_of_persons_is_asked_by_issuer(around: World) -> None:
    """A person is shown, given another rate, not counted, and set back by the same name."""
    ada = signer(bytes([41, 2]) * 16)
    cookie = await around.sign_in(ada, 900, _from(13))

    async def statuses(times: int) -> list[int]:
        return [(await around.get("/person/x", cookie, _from(13))).status for _ in range(times)]

    assert [200, 200, 429] == await statuses(3)
    shown = await _gateway(around, "show", "person", ada.issuer)
    assert (1, True) == (shown.exit_code, "2 used, 0 left of 2/day" in shown.output)
    await _ok(around, "set", "person", ada.issuer, "3/day")
    assert [200, 429] == await statuses(2)
    await _ok(around, "allow", "person", ada.issuer)
    await _becomes(around, 200, "/person/x", cookie, _from(13))
    assert [200] * 4 == await statuses(4)
    assert ["allow"] == (await _ok(around, "show", "person", ada.issuer))["lists"]
    await _ok(around, "allow", "person", ada.issuer, "--remove")
    await _ok(around, "reset", "person", ada.issuer)


async def test_a_count_is_shown_and_set_back(around: World) -> None:
    """Looking charges nothing; a client that was refused is admitted at once."""
    assert [200, 200, 200, 429] == await _statuses(around, "/few/x", 5, 4)
    shown = await _gateway(around, "show", "few", CLIENT % 5, "--json")
    told = json.loads(shown.stdout)
    assert (1, 3, 0, "3/day") == (shown.exit_code, told["used"], told["left"], told["rate"])
    assert 0 < told["retry_after_s"] <= 2 * 86_400
    assert {"limit": "few", "caller": CLIENT % 5, "was_counted": True} == await _ok(
        around, "reset", "few", CLIENT % 5
    )
    assert 200 == (await around.get("/few/x", _from(5))).status
    assert "1 used, 2 left of 3/day" in (await _gateway(around, "show", "few", CLIENT % 5)).output
    await _ok(around, "reset", "few", CLIENT % 5)
    again = await _gateway(around, "reset", "few", CLIENT % 5)
    assert (1, True) == (again.exit_code, "had counted nothing" in again.output)


async def test_a_client_gets_a_rate_of_its_own(around: World) -> None:
    """At once, and what it has used counts; an app may write it, too."""
    assert [200, 200, 200, 429] == await _statuses(around, "/few/x", 6, 4)
    await _ok(around, "set", "few", CLIENT % 6, "5/day", "--for", "7d")
    assert [200, 200, 429] == await _statuses(around, "/few/x", 6, 3)
    shown = await _gateway(around, "show", "few", CLIENT % 6)
    assert "5 used, 0 left of 5/day" in shown.output
    assert "own rate: 5/day" in shown.output
    with redis.Redis.from_url(around.store.url) as client:
        name = f"limit-override:few:{CLIENT % 6}"
        assert b"5/day" == client.get(name)
        assert 6 * 86_400 < client.ttl(name) <= 7 * 86_400
        client.set(f"limit-override:few:{CLIENT % 7}", "1/day")
        client.set(f"limit-override:few:{CLIENT % 8}", "nonsense")
    assert [200, 429] == await _statuses(around, "/few/x", 7, 2)
    assert [200] * 3 == await _statuses(around, "/few/x", 8, 3)
    assert "is ignored" in (await _gateway(around, "show", "few", CLIENT % 8)).stderr
    await _ok(around, "set", "few", CLIENT % 6, "--remove")
    assert 429 == (await around.get("/few/x", _from(6))).status
    assert 1 == (await _gateway(around, "set", "few", CLIENT % 6, "--remove")).exit_code


async def test_a_shadow_limit_lets_all_pass(around: World) -> None:
    """The operator is told that it refuses none."""
    assert [200] * 3 == await _statuses(around, "/watched/x", 9, 3)
    told = await _ok(around, "show", "watched", CLIENT % 9)
    assert (0, False) == (told["left"], told["refuses"])


async def test_an_attempt_to_sign_in_is_shown_and_set_back(around: World) -> None:
    """By the email address, which no key holds."""
    body = b'{"email": "Ada@example.com"}'
    fields = ("Content-Type: application/json", _from(10))
    assert (
        200
        == (await fetch(around.port, "POST", "/_gateway/login/attempt", *fields, body=body)).status
    )
    assert 1 == (await _ok(around, "show", "login", "ada@example.com"))["used"]
    assert 1 == (await _ok(around, "show", "login", CLIENT % 10))["used"]
    await _ok(around, "reset", "login", "ada@example.com")
    assert 0 == (await _ok(around, "show", "login", "ada@example.com"))["used"]


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (("show", "none", "192.0.2.1"), 2, "no such limit; known: default"),
        (("show", "few", "ada@example.com"), 2, "expected an IP address"),
        (("show", "login", "ada"), 2, "expected an IP address, or a contact"),
        (("show", "failures", "2001:db8::/64"), 0, "failures of"),
        (("show", "default", "192.0.2.77"), 0, "0 used"),
        (("deny", "few", "10.0.0.1/8"), 2, "bits set beyond its prefix"),
        (("deny", "few", "192.0.2.1", "--remove", "--for", "1h"), 2, "--for"),
        (("set", "few", "192.0.2.1"), 2, "either a RATE or --remove"),
        (("set", "few", "192.0.2.1", "5/hour"), 2, "write NUMBER/day"),
        (("set", "few", "192.0.2.1", "5/day", "--burst", "7"), 2, "needs algorithm: token-bucket"),
        (("set", "default", "192.0.2.1", "5/minute"), 0, "no gateway reads it"),
        (("show", "places", "192.0.2.1"), 0, "0 used, 2 left of 2 at one time"),
        (("reset", "places", "192.0.2.1"), 1, "had counted nothing"),
        (("set", "places", "192.0.2.1", "5/day"), 2, "has no rate"),
        (("list", "few"), 1, "no entries were added"),
    ],
)
async def test_what_commands_say(
    around: World, words: tuple[str, ...], status: int, told: str
) -> None:
    """Wrong usage, and answers that are no."""
    ran = await _gateway(around, *words)
    assert status == ran.exit_code, ran.output
    assert told in ran.output


async def test_a_store_that_is_down_keeps_the_last_lists(around: World) -> None:
    """The gateway refuses on; commands say that the store was not reached."""
    await _ok(around, "deny", "many", CLIENT % 11)
    await _becomes(around, 403, "/many/x", _from(11))
    around.store.kill()
    try:
        assert 403 == (await around.get("/many/x", _from(11))).status
        assert 200 == (await around.get("/many/x", _from(12))).status
        assert 3 == (await _gateway(around, "list")).exit_code
    finally:
        around.store.start()
