"""Problem documents: refusals on the wire."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from gateway.core.errors import (
    PROBLEM_TYPES,
    ExpiredToken,
    Forbidden,
    InvalidToken,
    LockHeld,
    MagicUnavailable,
    MethodNotAllowed,
    RateLimited,
    Refusal,
    SessionEnded,
    SignInByProxy,
    SignInFirst,
    StoreUnavailable,
    TooManyLocks,
    Unauthenticated,
    Unavailable,
    WrongWebSocketVersion,
)
from gateway.core.limit import Limit, LimitState
from gateway.core.problem import problem, problem_of, rate_limit_fields
from gateway.core.request import Reply

SECRET = "what-only-the-operator-may-know"


UNTOLD = sorted(set(PROBLEM_TYPES) - {Forbidden}, key=lambda kind: kind.__name__)
"""Refusals with a reason for the log alone."""


def state(reset_s: float = 12.5, retry_after_s: float = 3.2, remaining: int = 0) -> LimitState:
    """A limit of 50 in 10 seconds that is used up."""
    return LimitState(Limit("api", 50, 10), False, remaining, reset_s, retry_after_s)


def refused(kind: type[Refusal]) -> Refusal:
    """Make a refusal with a secret reason."""
    return RateLimited(state()) if kind is RateLimited else kind(SECRET)


def body(reply: Reply) -> dict[str, Any]:
    """The problem document."""
    document: dict[str, Any] = orjson.loads(reply.body)
    return document


@pytest.mark.parametrize("kind", list(PROBLEM_TYPES))
def test_every_refusal_is_a_problem_document(kind: type[Refusal]) -> None:
    """RFC 9457, with a stable code and the request id of the log line, and nothing more."""
    code, reply = problem(refused(kind), "req-1")
    expected = {
        **({"reason": SECRET} if kind is Forbidden else {}),
        "type": "about:blank",
        "title": PROBLEM_TYPES[kind].title,
        "status": PROBLEM_TYPES[kind].status.value,
        "code": PROBLEM_TYPES[kind].code,
        "request_id": "req-1",
    }
    assert expected == body(reply)
    assert PROBLEM_TYPES[kind].code == code
    assert PROBLEM_TYPES[kind].status.value == reply.status
    assert "application/problem+json" == dict(reply.fields)["Content-Type"]


@pytest.mark.parametrize("kind", UNTOLD)
def test_the_reason_is_not_in_the_response(kind: type[Refusal]) -> None:
    """A client that probes learns the kind of refusal alone."""
    _, reply = problem(refused(kind), "req-1")
    assert SECRET not in repr(reply)


@pytest.mark.parametrize("kind", list(PROBLEM_TYPES))
def test_no_refusal_may_be_cached(kind: type[Refusal]) -> None:
    """A client that is admitted a second later must not get the old response."""
    _, reply = problem(refused(kind), "req-1")
    assert "no-store" == dict(reply.fields)["Cache-Control"]


@pytest.mark.parametrize("kind", list(PROBLEM_TYPES))
def test_no_field_is_repeated(kind: type[Refusal]) -> None:
    """Each field of our responses is on one line."""
    _, reply = problem(refused(kind), "req-1")
    names = [name.lower() for name, _ in reply.fields]
    assert sorted(set(names)) == sorted(names)
    assert not any("\r" in value or "\n" in value for _, value in reply.fields)


@pytest.mark.parametrize(
    ("refusal", "expected"),
    [
        pytest.param(Unauthenticated(), "Bearer", id="nothing-was-sent"),
        pytest.param(SessionEnded(), "Bearer", id="a-dead-cookie"),
        pytest.param(InvalidToken(), 'Bearer error="invalid_token"', id="a-bad-token"),
        pytest.param(ExpiredToken(), 'Bearer error="invalid_token"', id="an-old-token"),
    ],
)
def test_a_401_names_an_error_for_a_token_alone(refusal: Refusal, expected: str) -> None:
    """RFC 6750 section 3."""
    _, reply = problem(refusal, "req-1")
    assert expected == dict(reply.fields)["WWW-Authenticate"]


@pytest.mark.parametrize("kind", list(PROBLEM_TYPES))
def test_a_401_alone_carries_a_challenge(kind: type[Refusal]) -> None:
    """RFC 9110 section 15.5.2 demands one of each 401."""
    _, reply = problem(refused(kind), "req-1")
    assert (reply.status == 401) is ("WWW-Authenticate" in dict(reply.fields))


@pytest.mark.parametrize("kind", list(PROBLEM_TYPES))
def test_temporary_refusals_alone_have_a_retry_after(kind: type[Refusal]) -> None:
    """It is sent where waiting helps."""
    _, reply = problem(refused(kind), "req-1")
    helps = issubclass(kind, Unavailable | RateLimited | LockHeld)
    assert helps is ("Retry-After" in dict(reply.fields))


@pytest.mark.parametrize(
    ("refusal", "expected"),
    [
        pytest.param(StoreUnavailable(), "1", id="a-second-if-nothing-is-known"),
        pytest.param(StoreUnavailable(retry_after_s=0.2), "1", id="never-too-early"),
        pytest.param(LockHeld(retry_after_s=2.1), "3", id="when-the-lease-has-ended"),
        pytest.param(TooManyLocks(retry_after_s=0.2), "1", id="when-the-first-lease-has-ended"),
        pytest.param(MagicUnavailable(retry_after_s=6.01), "7", id="rounded-up"),
        pytest.param(MagicUnavailable(retry_after_s=30.0), "30", id="whole-seconds-stay"),
    ],
)
def test_retry_after_is_rounded_up(refusal: Refusal, expected: str) -> None:
    """A client that waits as told does not come too early."""
    _, reply = problem(refusal, "req-1")
    assert expected == dict(reply.fields)["Retry-After"]


@pytest.mark.parametrize(
    ("limit_state", "expected"),
    [
        pytest.param(state(12.5, 3.2), ("4", "13"), id="rounded-up"),
        pytest.param(state(10.0, 10.0), ("10", "10"), id="whole-seconds-stay"),
        pytest.param(state(0.1, 0.0), ("1", "1"), id="not-at-once"),
        pytest.param(state(0.0, 0.001), ("1", "0"), id="at-the-end-of-the-window"),
    ],
)
def test_all_rate_limit_fields_agree(limit_state: LimitState, expected: tuple[str, str]) -> None:
    """Retry-After, the IETF draft and the ``X-`` fields have the same values."""
    retry_after, reset = expected
    assert (
        ("Retry-After", retry_after),
        ("RateLimit-Policy", '"api";q=50;w=10'),
        ("RateLimit", f'"api";r=0;t={reset}'),
        ("X-RateLimit-Limit", "50"),
        ("X-RateLimit-Remaining", "0"),
        ("X-RateLimit-Reset", reset),
    ) == rate_limit_fields(limit_state)


def test_a_limit_on_requests_under_way_names_its_unit() -> None:
    """Section 3.1.1 of the draft: it has no window."""
    limit = Limit("uploads", 10, 60, algorithm="concurrency")
    fields = dict(rate_limit_fields(LimitState(limit, False, 0, 1.0, 1.0)))
    assert '"uploads";q=10;qu="concurrent-requests"' == fields["RateLimit-Policy"]
    assert "1" == fields["Retry-After"]


def test_a_429_carries_the_rate_limit_fields() -> None:
    """The answer to a used-up limit carries all fields about it."""
    _, reply = problem(RateLimited(state()), "req-1")
    assert set(rate_limit_fields(state())) <= set(reply.fields)


@pytest.mark.parametrize("kind", UNTOLD)
def test_an_answer_holds_nothing_of_an_earlier_request(kind: type[Refusal]) -> None:
    """Answers are remembered; the reason and the id of another request are in none of them."""
    problem(refused(kind), "req-1")
    assert "req-1" not in repr(problem_of(refused(kind)))
    assert b"req-2" in problem(refused(kind), "req-2")[1].body


def test_answers_that_are_alike_are_made_once() -> None:
    """A flood without credentials, or over one limit, costs no serialisation."""
    assert problem_of(Unauthenticated("a")) is problem_of(Unauthenticated("b"))
    assert problem_of(RateLimited(state(12.5))) is problem_of(RateLimited(state(12.7)))


def test_answers_that_differ_are_told_apart() -> None:
    """Another login page, limit, time to wait or location is another answer."""
    one, other = SessionEnded("because"), SessionEnded("because")
    one.login_url, other.login_url = "https://a.example/login", "https://b.example/login"
    assert b"https://a.example/login" in problem(one, "req-1")[1].body
    assert b"https://b.example/login" in problem(other, "req-1")[1].body
    assert "login_url" not in body(problem(SessionEnded("because"), "req-1")[1])
    other_limit = LimitState(Limit("other", 50, 10), False, 0, 12.5, 3.2)
    after_reload = state()._replace(limit=replace(state().limit, rate=51))  # of the same name
    states = [state(), state(reset_s=13.5), state(retry_after_s=4.2), other_limit, after_reload]
    refusals: list[Refusal] = [RateLimited(each) for each in states]
    refusals += [SignInFirst("", "/a"), SignInFirst("", "/b")]
    refusals += [StoreUnavailable(retry_after_s=1.0), StoreUnavailable(retry_after_s=2.0)]
    assert len({problem(refusal, "req-1")[1].fields for refusal in refusals}) == len(refusals)


def test_a_redirect_to_the_login_page_is_not_cached() -> None:
    """Vary names the fields that decide about it."""
    _, reply = problem(SignInFirst("because", "/_gateway/login?return_to=/x"), "req-1")
    fields = dict(reply.fields)
    assert (302, "/_gateway/login?return_to=/x") == (reply.status, fields["Location"])
    assert {"Accept", "Sec-Fetch-Mode"} <= set(fields["Vary"].split(", "))


def test_a_401_for_nginx_names_the_login_page() -> None:
    """It is a complete 401 in all other respects."""
    _, reply = problem(SignInByProxy("because", "https://a/_gateway/login?return_to=/x"), "req-1")
    fields = dict(reply.fields)
    assert (401, "Bearer") == (reply.status, fields["WWW-Authenticate"])
    assert "https://a/_gateway/login?return_to=/x" == fields["Location"]


def test_a_script_gets_the_login_url_in_the_document() -> None:
    """It cannot use a redirect to a page."""
    refusal = SessionEnded("because")
    refusal.login_url = "https://app.example.com/_gateway/login"
    _, reply = problem(refusal, "req-1")
    assert refusal.login_url == body(reply)["login_url"]
    assert (401, False) == (reply.status, "Location" in dict(reply.fields))
    assert {"Accept", "Sec-Fetch-Mode"} <= set(dict(reply.fields)["Vary"].split(", "))


def test_a_405_lists_the_methods() -> None:
    """RFC 9110 section 15.5.6."""
    _, reply = problem(MethodNotAllowed("for the log", ["GET", "HEAD"]), "req-1")
    assert (405, "GET, HEAD") == (reply.status, dict(reply.fields)["Allow"])


def test_a_426_names_the_websocket_version() -> None:
    """RFC 6455 section 4.4, and RFC 9110 section 15.5.22."""
    _, reply = problem(WrongWebSocketVersion(), "req-1")
    fields = dict(reply.fields)
    assert ("13", "websocket", "Upgrade") == (
        fields["Sec-WebSocket-Version"],
        fields["Upgrade"],
        fields["Connection"],
    )
