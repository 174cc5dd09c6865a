"""Explanations as people read them; docs/explain.md shows whole ones."""

from typing import Any

import pytest

from gateway.explain.text import answer_of, lines_of
from gateway.explain.trace import Explanation, StageTrace, StageVerdict

PASSED, REFUSED = StageVerdict.PASSED, StageVerdict.REFUSED
LIMIT = {
    "limit": "few",
    "caller": "a",
    "rate": 5,
    "window_s": 60,
    "cost": 1,
    "known": True,
    "allowed": True,
    "would_refuse": False,
    "remaining": 4,
    "retry_after_s": 0.0,
    "shadow": False,
}


def told(stage: str, verdict: StageVerdict = PASSED, **details: Any) -> list[str]:
    """What is written of one stage, without the column of names."""
    trace = StageTrace(stage, verdict, details)
    found = Explanation("all", StageVerdict.ADMITTED, None, "", "", {}, (trace,))
    return [line[28:] for line in list(lines_of(found))[2:]]


@pytest.mark.parametrize(
    ("verdict", "status", "route", "expected"),
    [
        pytest.param(StageVerdict.ADMITTED, None, "all", "admitted, by route all", id="admitted"),
        pytest.param(
            StageVerdict.ADMITTED, 200, "all", "200 admitted, by route all", id="of-the-log"
        ),
        pytest.param(
            StageVerdict.ANSWERED, 204, "all", "204 answered by the gateway, by route all", id="own"
        ),
        pytest.param(REFUSED, 403, None, "403 forbidden (denied), by no route", id="refused"),
    ],
)
def test_the_answer_is_one_line(
    verdict: StageVerdict, status: int | None, route: str | None, expected: str
) -> None:
    """Verdict, code and reason, and the route."""
    assert expected == answer_of(Explanation(route, verdict, status, "forbidden", "denied", {}, ()))


def test_a_refusal_without_a_reason_is_its_code() -> None:
    """And its meaning follows, where there is one."""
    stage = StageTrace("route", REFUSED, {"code": "no_route", "candidates": []})
    meant = StageTrace("rules", REFUSED, {"code": "a", "meaning": "What it means.", "rules": []})
    found = Explanation(None, REFUSED, 404, "no_route", "", {}, (stage, meant), ("n",))
    assert [
        "404 no_route, by no route",
        "  What it means.",
        "",
        "  route            REFUSED  no_route",
        "  rules            REFUSED  a",
        "",
        "note: n",
    ] == list(lines_of(found))


@pytest.mark.parametrize(
    ("stage", "details", "expected"),
    [
        pytest.param("request", {}, [""], id="no-head"),
        pytest.param("unknown", {"a": 1}, [""], id="unknown"),
        pytest.param(
            "request", {"method": "GET", "fields": 2}, ["GET, 2 header fields"], id="head"
        ),
        pytest.param(
            "client",
            {
                "peer": "10.0.0.1",
                "client": "1.1.1.1",
                "read_from": "Forwarded",
                "lines": ["for=1.1.1.1"],
                "hops": [
                    {"address": "10.0.0.1", "trusted_by": "10.0.0.0/8"},
                    {"address": "1.1.1.1", "trusted_by": None},
                ],
            },
            [
                "1.1.1.1, by Forwarded of the peer 10.0.0.1",
                "Forwarded: for=1.1.1.1",
                "10.0.0.1 is trusted, in 10.0.0.0/8",
                "1.1.1.1 is not trusted: the walk ends",
            ],
            id="client",
        ),
        pytest.param(
            "client",
            {
                "peer": "10.0.0.1",
                "client": "10.0.0.1",
                "read_from": "X-Forwarded-For",
                "lines": ["1.1.1.1, unknown"],
                "hops": [{"address": "10.0.0.1", "trusted_by": "10.0.0.0/8"}],
            },
            [
                "10.0.0.1, the peer",
                "X-Forwarded-For: 1.1.1.1, unknown",
                "10.0.0.1 is trusted, in 10.0.0.0/8",
                "no address can be read to the left of it: the walk ends",
            ],
            id="unreadable-hop",
        ),
        pytest.param(
            "client",
            {
                "peer": "10.0.0.1",
                "client": "10.0.0.1",
                "read_from": "X-Forwarded-For",
                "lines": [],
                "hops": [{"address": "10.0.0.1", "trusted_by": "10.0.0.0/8"}],
            },
            ["10.0.0.1, the peer", "10.0.0.1 is trusted, in 10.0.0.0/8"],
            id="no-field",
        ),
        pytest.param(
            "client",
            {"peer": "1.1.1.1", "client": "1.1.1.1", "read_from": "peer", "lines": [], "hops": []},
            ["1.1.1.1, the peer"],
            id="peer",
        ),
        pytest.param("target", {"raw": "/../x"}, ["/../x"], id="refused-target"),
        pytest.param("target", {"raw": "/", "canonical": "/", "host": ""}, ["/"], id="no-host"),
        pytest.param(
            "target",
            {"raw": "/%41", "canonical": "/A", "host": "a"},
            ["/A on a, written /%41"],
            id="target",
        ),
        pytest.param(
            "route",
            {"route": "all", "preflight_for": "PUT", "forwarded_path": "/y", "candidates": []},
            ["all", "a CORS preflight for PUT", "the app gets the path /y"],
            id="route",
        ),
        pytest.param(
            "upgrade",
            {"asked": "websocket", "listed": []},
            ["to websocket; the route lists none"],
            id="upgrade",
        ),
        pytest.param("limits", {"limits": []}, ["none counts the request"], id="no-limits"),
        pytest.param(
            "concurrency",
            {
                "limits": [
                    LIMIT | {"cost": 2},
                    LIMIT | {"known": False},
                    LIMIT | {"would_refuse": True, "shadow": True},
                    LIMIT | {"would_refuse": True, "retry_after_s": 1.5},
                ]
            },
            [
                "few (5 in 60 s, of which it costs 2) of a: 4 left after it",
                "few (5 in 60 s) of a: not known, as the store did not answer",
                "few (5 in 60 s) of a: used up (mode: shadow, so it passes)",
                "few (5 in 60 s) of a: used up, again in 2 s",
            ],
            id="limits",
        ),
        pytest.param(
            "credentials",
            {
                "auth": "optional",
                "credentials": [
                    {"kind": "jwt", "fingerprint": "f", "source": "c", "verdict": "valid"},
                    {"kind": "session", "assumed": True, "verdict": "not_checked", "why": "w"},
                ],
                "identity": {"issuer": "i", "email": "a@b.c", "by": "jwt"},
            },
            [
                "jwt f in c: valid",
                "session assumed: not checked, w",
                "the caller is i (a@b.c), by jwt",
            ],
            id="credentials",
        ),
        pytest.param(
            "origin",
            {"sent_automatically": False},
            ["browsers do not send this credential by themselves"],
            id="bearer",
        ),
        pytest.param(
            "origin",
            {"sent_automatically": True, "origin": ["http://a"], "sec_fetch_site": []},
            ["Origin: http://a; Sec-Fetch-Site: not sent"],
            id="origin",
        ),
        pytest.param("origin", {"note": "not checked"}, ["not checked"], id="assumed"),
        pytest.param(
            "roles",
            {"roles": None, "permissions": ["a", "b"]},
            ["roles: not known", "permissions: a, b"],
            id="roles",
        ),
        pytest.param(
            "rules",
            {
                "rules": [
                    {
                        "rule": "deny",
                        "number": 2,
                        "holds": True,
                        "matchers": [{"matcher": "emails", "values": ["a", "b"], "holds": True}],
                    }
                ]
            },
            ["deny 2 holds", "  + emails: a, b"],
            id="rules",
        ),
        pytest.param(
            "fields",
            {"dropped": [], "changed": ["Cookie"], "written": []},
            ["changed: Cookie"],
            id="fields",
        ),
        pytest.param(
            "upstream",
            {"upstream": "gateway pages", "method": "GET", "target": "/"},
            ["gateway pages: GET /"],
            id="pages",
        ),
        pytest.param(
            "upstream",
            {
                "upstream": "app",
                "method": "GET",
                "target": "/",
                "server": "a",
                "servers": {"a": True, "b": False},
            },
            ["app: GET /", "server a", "server b is out: ejected or unhealthy"],
            id="upstream",
        ),
        pytest.param("login", {"location": "/login"}, ["Location: /login"], id="login"),
        pytest.param("answer", {"fields": []}, ["fields: none"], id="answer"),
    ],
)
def test_what_a_stage_found_is_written(
    stage: str, details: dict[str, Any], expected: list[str]
) -> None:
    """Each in its own words."""
    assert expected == told(stage, **details)
