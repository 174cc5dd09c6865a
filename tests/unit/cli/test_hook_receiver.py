"""The receiver of ``gateway hooks listen``."""

import errno
import json
import os
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest
import yaml
from click.testing import CliRunner
from standardwebhooks import Webhook

from gateway.cli import hook_receiver, hooks
from gateway.cli.hook_receiver import HOST, HookReceiver, lines, receiving
from gateway.cli.main import main
from gateway.core.errors import StartError
from gateway.hooks.signature import Signer
from gateway.runtime import serve
from gateway.telemetry import logs
from tests.fakes.hooks import SECRET, event
from tests.fakes.http import fetch

OTHER = "whsec_" + b64encode(b"o" * 32).decode()


class Ear(NamedTuple):
    """A receiver that listens, and what it has shown."""

    port: int
    shown: list[dict[str, Any]]

    async def told(self, body: bytes, fields: dict[str, str]) -> int:
        """The status of the answer to a delivery."""
        written = [f"{name}: {value}" for name, value in fields.items()]
        return (await fetch(self.port, "POST", "/any/path", *written, body=body)).status


@asynccontextmanager
async def listening() -> AsyncIterator[Ear]:
    shown: list[dict[str, Any]] = []
    async with receiving(HookReceiver(SECRET, shown.append), 0) as port:
        yield Ear(port, shown)


def signed(body: bytes, name: str = "e1", *secrets: str, now_s: float = 0) -> dict[str, str]:
    return Signer(secrets or [SECRET]).fields(name, now_s or time.time(), body)


async def test_a_delivery_that_verifies_is_shown_once() -> None:
    """A repeat is answered as the first was; so is one signed with two secrets."""
    body = event("e1")
    async with listening() as ear:
        assert [204, 204] == [await ear.told(body, signed(body)) for _ in range(2)]
        assert [json.loads(body)] == ear.shown
        other = event("e2")
        assert 204 == await ear.told(other, signed(other, "e2", OTHER, SECRET))
    assert ["e1", "e2"] == [each["id"] for each in ear.shown]


async def test_what_does_not_verify_is_refused() -> None:
    """Tampered, old, signed by another, without fields, or no event: 401, and nothing is shown."""
    body = event("e1")
    fields = signed(body)
    now = datetime.now(UTC)
    wrong = [
        (body + b" ", fields),
        (body, {**fields, "webhook-id": "e2"}),
        (body, {**fields, "webhook-signature": "v1"}),
        (body, {**fields, "webhook-timestamp": "soon"}),
        (body, signed(body, "e1", OTHER)),
        (body, signed(body, now_s=(now - timedelta(minutes=6)).timestamp())),
        (body, signed(body, now_s=(now + timedelta(minutes=6)).timestamp())),
        (body, {}),
        (b"[]", signed(b"[]")),
        (b"{", {**fields, "webhook-signature": Webhook(SECRET).sign("e1", now, "{")}),
        (b"\xff", fields),
    ]
    async with listening() as ear:
        assert [401] * len(wrong) == [await ear.told(*each) for each in wrong]
        assert [] == ear.shown
        assert 204 == await ear.told(body, fields)


async def test_a_port_that_is_taken() -> None:
    """It cannot start there, and says why, and what helps."""
    async with listening() as ear:
        told = f"{HOST}:{ear.port}: {os.strerror(errno.EADDRINUSE)}; stop the program"
        with pytest.raises(StartError, match=told):
            async with receiving(HookReceiver(SECRET, print), ear.port):
                pass


def test_the_section_that_is_printed_can_be_pasted() -> None:
    """It names the receiver, and its network."""
    section = yaml.safe_load(lines(8090, SECRET).partition("\n\n")[2])["hooks"]
    [endpoint] = section["endpoints"]
    assert ("http://127.0.0.1:8090/", SECRET) == (endpoint["url"], endpoint["secret"])
    assert [f"{HOST}/32"] == section["allow_private"]


@pytest.mark.parametrize("as_json", [False, True])
async def test_events_are_printed(capsys: pytest.CaptureFixture[str], *, as_json: bool) -> None:
    """In lines for people, or one line of JSON for each."""
    told = json.loads(event("e1"))
    (hook_receiver.print_line if as_json else hook_receiver.print_event)(told)
    said = capsys.readouterr().out
    if as_json:
        assert told == json.loads(said)
    else:
        first = "2023-11-14T22:13:20.000Z  user.login  did:ethr:0xAd  e1"
        assert [first, "    {}"] == said.splitlines()


def test_what_an_event_says_writes_nothing_to_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Control characters are replaced, in data too, where JSON leaves some as they are."""
    told = json.loads(event("e1", "did:\x1b]0;x\x07")) | {"data": {"device": "\x9b2J"}}
    hook_receiver.print_event(told)
    said = capsys.readouterr().out
    assert "did:\ufffd]0;x\ufffd  e1" in said
    assert '"\ufffd2J"' in said


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """What the receiver was started with; it cannot start."""
    seen: list[tuple[object, ...]] = []

    def fail(_work: object) -> None:
        raise StartError("no port")

    monkeypatch.setattr(hooks, "listen_on", lambda *words, as_json: seen.append((*words, as_json)))
    monkeypatch.setattr(serve, "run", fail)
    monkeypatch.setattr(logs, "set_up", lambda: None)
    return seen


def test_options_reach_the_receiver(given: list[tuple[object, ...]]) -> None:
    """The secret may be in the environment. Exit status 1 and a message where it cannot start."""
    listen = ["hooks", "listen"]
    for words, variables in (
        ((), {}),
        (("--port", "0", "--secret", SECRET, "--json"), {}),
        ((), {"HOOK_SECRET": OTHER}),
    ):
        ran = CliRunner().invoke(main, [*listen, *words], env=variables)
        assert (1, "gateway: no port\n") == (ran.exit_code, ran.stderr)
    assert [(8090, None, False), (0, SECRET, True), (8090, OTHER, False)] == given


def test_what_is_no_secret_is_not_repeated(given: list[tuple[object, ...]]) -> None:
    """Exit status 2."""
    ran = CliRunner().invoke(main, ["hooks", "listen", "--secret", "whsec_c2hvcnQ="])
    assert (2, False) == (ran.exit_code, "c2hvcnQ" in ran.output)
    assert [] == given
