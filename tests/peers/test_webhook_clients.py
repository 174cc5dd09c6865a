"""Libraries of Standard Webhooks that others wrote, of npm and of PyPI, verify our signatures."""

import json
import time
from base64 import b64encode
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from gateway.core.event import EventType
from gateway.hooks.signature import Signer
from tests.fakes.hooks import ADA, SECRET, event
from tests.peers.test_http import run

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

VERIFY = """
import {readFileSync} from "node:fs";
import {Webhook} from "standardwebhooks";
const verified = ({secret, body, fields}) => {
  try {
    return new Webhook(secret).verify(body, fields);
  } catch (error) {
    return error.name + ": " + error.message;
  }
};
const cases = JSON.parse(readFileSync(process.argv[2], "utf8"));
console.log(JSON.stringify(cases.map(verified)));
"""

NEW = "whsec_" + b64encode(b"n" * 24).decode()
LONG = "whsec_" + b64encode(bytes(range(64))).decode()
BODY = event("e1", ADA, EventType.FIRST_LOGIN)
ODD = event("e1", "https://idp.example.com#zoë \u2028 \U0001f600", EventType.LOGIN)


class Case(NamedTuple):
    """A delivery, as a receiver with ``secret`` sees it."""

    is_accepted: bool
    secret: str
    body: bytes
    fields: dict[str, str]


def cases() -> list[Case]:
    now_s = time.time()
    right = Signer([SECRET]).fields("e1", now_s, BODY)
    rotated = Signer([NEW, SECRET]).fields("e1", now_s, BODY)
    old, early = (Signer([SECRET]).fields("e1", now_s + away_s, BODY) for away_s in (-301, 3600))
    return [
        Case(True, SECRET, BODY, right),
        Case(True, SECRET, ODD, Signer([SECRET]).fields("e1", now_s, ODD)),
        Case(True, LONG, BODY, Signer([LONG]).fields("e1", now_s, BODY)),
        Case(True, SECRET, BODY, rotated),
        Case(True, NEW, BODY, rotated),
        Case(True, SECRET, BODY, Signer([SECRET]).fields("e1", now_s - 290, BODY)),
        Case(False, NEW, BODY, right),
        Case(False, SECRET, BODY + b" ", right),
        Case(False, SECRET, BODY, {**right, "webhook-id": "e2"}),
        Case(False, SECRET, BODY, {**right, "webhook-timestamp": str(int(now_s) + 1)}),
        Case(False, SECRET, BODY, old),
        Case(False, SECRET, BODY, early),
        Case(False, SECRET, BODY, {}),
    ]


async def test_npm(packages: Path, tmp_path: Path) -> None:
    """It takes what we sign, with either secret of two; nothing tampered, old or early."""
    tried = cases()
    script, given = packages / "standardwebhooks.mjs", tmp_path / "cases.json"
    script.write_text(VERIFY)
    given.write_text(json.dumps([{**case._asdict(), "body": case.body.decode()} for case in tried]))
    said: list[Any] = json.loads(await run("node", str(script), str(given)))
    for case, found in zip(tried, said, strict=True):
        assert (json.loads(case.body) == found) is case.is_accepted, found


async def test_pypi() -> None:
    """The same of the library that the gateway signs with."""
    for case in cases():
        try:
            found = Webhook(case.secret).verify(case.body, case.fields)
        except WebhookVerificationError:
            found = None
        assert (json.loads(case.body) == found) is case.is_accepted
