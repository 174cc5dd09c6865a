"""Requests of the past."""

import json
from typing import Any

import pytest

from gateway.explain.logged import asked_again, find_entry, logged_explanation
from gateway.explain.question import Question
from gateway.explain.trace import StageVerdict

ENTRY = {
    "time": "2026-11-30T09:00:00.000Z",
    "id": "5c1f-7",
    "client": "203.0.113.9",
    "method": "GET",
    "scheme": "https",
    "host": "app.example.com",
    "path": "/admin/%41",
    "route": "admin",
    "status": 403,
    "issuer": "did:ethr:0xA",
    "refusal": "forbidden",
    "reason": "role_missing",
    "user_agent": 'curl/8 "x"',
}
TEXT = (
    "203.0.113.9 - did:ethr:0xA [2026-11-30T09:00:00.000Z]"
    ' "GET /admin/%41 HTTP/1.1" 403 161 "-" "curl/8 \\"x\\"" id=5c1f-7 scheme=https'
    ' host=app.example.com route=admin ms=0.8 refusal=forbidden reason="a \\"b\\""'
)


def test_a_line_in_json_is_found() -> None:
    """Also among lines that only mention the id, or are no lines of the log."""
    lines = ["", "noise 5c1f-7", "{5c1f-7", json.dumps({"id": "x", "path": "/5c1f-7"})]
    assert ENTRY == find_entry([*lines, json.dumps(ENTRY) + "\n"], "5c1f-7")
    assert find_entry(lines, "5c1f-7") is None


def test_a_line_in_text_is_found() -> None:
    """Values are read out of their quotes; a hyphen stands for none."""
    entry = dict(find_entry([TEXT], "5c1f-7") or {})
    shared = {name: entry.get(name) for name in ENTRY if name != "reason"}
    assert shared == {name: value for name, value in ENTRY.items() if name != "reason"}
    assert ('a "b"', 0.8, 161, "1.1") == (
        *(entry[name] for name in ("reason", "ms", "bytes", "version")),
    )
    bare = '- - - [-] "-" - - "-" "-" id=5c1f-8'
    assert ("", None) == (
        *((find_entry([bare], "5c1f-8") or {})[name] for name in ("client", "status")),
    )


@pytest.mark.parametrize("written", ["9" * 30, "1e400", "nan", "0x1"])
def test_a_number_that_no_gateway_has_written_is_none(written: str) -> None:
    """As JSON has no such number; those that it has are read."""
    line = TEXT.replace("403 161", f"{written} {2**63 - 1}")
    found = find_entry([line], "5c1f-7") or {}
    assert (None, 2**63 - 1) == (found["status"], found["bytes"])


def test_a_logged_request_is_asked_again() -> None:
    """For its client and issuer, as far as the log has it."""
    again = asked_again(ENTRY)
    assert again.question == Question(
        "GET",
        "https://app.example.com/admin/%41",
        (("User-Agent", 'curl/8 "x"'),),
        "203.0.113.9",
        "did:ethr:0xA",
    )
    assert "no query, no header fields and no credentials" in again.notes[0]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"host": ""}, Question("GET", "/x"), id="no-host"),
        pytest.param({"host": "a"}, Question("GET", "http://a/x"), id="no-scheme"),
        pytest.param({"method": "GET", "verify": "POST"}, Question("POST", "/x"), id="a-check"),
        pytest.param({"path": ""}, None, id="no-path"),
    ],
)
def test_what_was_not_logged_has_a_default(
    changes: dict[str, Any], expected: Question | None
) -> None:
    """Without a path there is nothing to ask."""
    assert expected == asked_again({"path": "/x", **changes}).question


def test_what_was_logged_is_an_explanation_without_stages() -> None:
    """It counts, whatever the config says now."""
    found = logged_explanation(ENTRY)
    assert ("admin", StageVerdict.REFUSED, 403, "forbidden", "role_missing", ()) == (
        *(found.route, found.verdict, found.status, found.code, found.reason, found.notes),
    )
    found = logged_explanation({"status": "?"})
    assert (None, StageVerdict.ADMITTED, None) == (found.route, found.verdict, found.status)
