"""Answers of the dashboard and the API."""

import orjson
import pytest

from gateway.admin.access import Denial
from gateway.admin.problems import denied, json_response, problem_response


@pytest.mark.parametrize(
    ("denial", "fields"),
    [
        (Denial(401, "token_required", "send it"), {"WWW-Authenticate": "Bearer"}),
        (Denial(403, "not_local", "only this machine"), {}),
        (Denial(429, "too_many_attempts", "wrong", 30), {"Retry-After": "30"}),
    ],
)
def test_a_denial_says_what_is_needed(denial: Denial, fields: dict[str, str]) -> None:
    """By a code for programs, and plain words; it is kept nowhere."""
    answer = denied(denial)
    body = answer.body
    assert isinstance(body, bytes)
    document = orjson.loads(body)
    assert denial[:3] == (answer.status, document["code"], document["detail"])
    assert "no-store" == answer.headers["Cache-Control"]
    told = {
        name: answer.headers[name]
        for name in ("WWW-Authenticate", "Retry-After")
        if name in answer.headers
    }
    assert fields == told


def test_documents_are_kept_nowhere_and_read_by_no_other_site() -> None:
    """Of answers and of problems: they name people, and browsers must not guess their type."""
    for answer in (json_response({"a": 1}), problem_response(400, "bad_request", "why")):
        assert "no-store" == answer.headers["Cache-Control"]
        assert "nosniff" == answer.headers["X-Content-Type-Options"]
        assert "same-origin" == answer.headers["Cross-Origin-Resource-Policy"]
