"""Refusals on the wire: RFC 9457 problem documents and the fields that go with them."""

from functools import lru_cache
from math import ceil
from typing import NamedTuple

import orjson

from gateway.core.errors import (
    PROBLEM_TYPES,
    AmbiguousCredentials,
    Forbidden,
    InvalidToken,
    LockHeld,
    MethodNotAllowed,
    RateLimited,
    Refusal,
    SignInFirst,
    Unavailable,
    WrongWebSocketVersion,
)
from gateway.core.limit import Limit, LimitState
from gateway.core.record import RequestRecord
from gateway.core.request import Reply
from gateway.core.route import FieldLines

_UNAUTHORIZED = 401
_VARY = (
    "Vary",
    "Accept, Accept-Language, Authorization, Cookie, Sec-Fetch-Mode, X-Requested-With",
)
"""
Fields that decide between this document, a page for people in their language, and the redirect to
the login page; see `gateway.authn.login_redirect`.
"""
_WEBSOCKET_VERSION = (
    ("Sec-WebSocket-Version", "13"),  # RFC 6455 section 4.4
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),  # RFC 9110 section 15.5.22
)


_OWN_FIELDS = (SignInFirst, MethodNotAllowed, AmbiguousCredentials, Unavailable, LockHeld)
_WITH_OWN_FIELDS = frozenset(kind for kind in PROBLEM_TYPES if issubclass(kind, _OWN_FIELDS))
"""Those for which `_own_fields` finds some; a look-up takes a third of the time of `isinstance`."""


class ProblemAnswer(NamedTuple):
    """The answer to a refusal, but for the id of the request."""

    code: str
    status: int
    fields: FieldLines
    """Those that all answers of the kind have."""
    before_id: bytes
    """The document up to the id of the request; it goes on with ``after_id``."""
    after_id: bytes
    heads: dict[int, bytes]
    """What ``fields`` were serialised to, by the length of the id; the serialiser fills it in."""
    own_fields: FieldLines = ()
    """Those of this answer alone."""


def problem(refusal: Refusal, request_id: str) -> tuple[str, Reply]:
    """
    Return the code of ``refusal`` and the response with its problem document.

    The document names the kind of refusal; only `Forbidden` names its reason too. ``code`` is
    stable, for programs; ``request_id`` leads to the log line with the reason.
    """
    found = problem_of(refusal)
    return found.code, reply_of(found, request_id)


def reply_of(answer: ProblemAnswer, request_id: str) -> Reply:
    """Return the response with ``answer``; ``request_id`` is made by the gateway."""
    body = answer.before_id + orjson.dumps(request_id)[1:-1] + answer.after_id
    return Reply(answer.status, answer.fields + answer.own_fields, body)


def problem_of(refusal: Refusal) -> ProblemAnswer:
    """Return the answer to ``refusal``: the same one for all that are answered alike."""
    kind = type(refusal)
    if isinstance(refusal, RateLimited):
        limit, _, remaining, reset_s, retry_after_s = refusal.state
        return _over_limit(limit, remaining, ceil(reset_s), ceil(retry_after_s))
    told = refusal.reason if isinstance(refusal, Forbidden) else ""
    alike = _alike(kind, refusal.login_url, told)  # type: ignore[arg-type] # a class has a hash
    if kind not in _WITH_OWN_FIELDS:
        return alike
    return alike._replace(own_fields=_own_fields(refusal))  # type: ignore[arg-type] # one of these


@lru_cache(1024)
def _over_limit(limit: Limit, remaining: int, reset_s: int, retry_after_s: int) -> ProblemAnswer:
    """Make the answers of a limit once for each second of its window: they are few."""
    state = LimitState(limit, False, remaining, reset_s, retry_after_s)
    return _problem(RateLimited, rate_limit_fields(state))


@lru_cache(256)
def _alike(kind: type[Refusal], login_url: str, reason: str) -> ProblemAnswer:
    """Make what is alike in answers of a kind once: a flood of them must cost little."""
    fields: FieldLines = ()
    if issubclass(kind, InvalidToken):
        # RFC 6750 section 3: an error is named only where a token was sent.
        fields = (("WWW-Authenticate", 'Bearer error="invalid_token"'),)
    elif issubclass(kind, WrongWebSocketVersion):
        fields = _WEBSOCKET_VERSION
    elif PROBLEM_TYPES[kind].status == _UNAUTHORIZED:
        fields = (("WWW-Authenticate", "Bearer"),)  # RFC 9110 section 15.5.2 demands one
    return _problem(kind, fields, login_url, reason)


def _problem(
    kind: type[Refusal], fields: FieldLines, login_url: str = "", reason: str = ""
) -> ProblemAnswer:
    about = PROBLEM_TYPES[kind]
    status = int(about.status)
    document = {
        "type": "about:blank",
        "title": about.title,
        "status": status,
        "code": about.code,
        "request_id": "",
    }
    first: FieldLines = (
        ("Content-Type", "application/problem+json"),
        ("Cache-Control", "no-store"),
        _VARY,
    )
    rest: dict[str, str] = {}
    if login_url:
        rest["login_url"] = login_url
    if reason:
        rest["reason"] = reason
    before_id = orjson.dumps(document).removesuffix(b'"}')
    after_id = b'",' + orjson.dumps(rest)[1:] if rest else b'"}'
    return ProblemAnswer(about.code, status, first + fields, before_id, after_id, {})


def _own_fields(
    refusal: SignInFirst | MethodNotAllowed | AmbiguousCredentials | Unavailable | LockHeld,
) -> FieldLines:
    match refusal:
        case SignInFirst(location=location):
            return (("Location", location),)
        case MethodNotAllowed(allowed=methods):
            return (("Allow", ", ".join(methods)),)  # RFC 9110 section 15.5.6 demands it
        case AmbiguousCredentials(clears=clears):
            return tuple(("Set-Cookie", value) for value in clears)
        case _:
            return (("Retry-After", str(ceil(refusal.retry_after_s))),)  # section 10.2.3


def rate_limit_fields(state: LimitState) -> FieldLines:
    """
    ``Retry-After``, the fields of draft-ietf-httpapi-ratelimit-headers-10, and the ``X-`` ones.

    All times are seconds from now, rounded up, so that a client that waits them is let in.
    """
    state = in_seconds(state)
    return (("Retry-After", str(state.retry_after_s)), *told_limit(state))


def told_limit(state: LimitState) -> FieldLines:
    """Return the fields that tell of a limit on every answer; see `rate_limit_fields`."""
    limit, _, remaining, reset_s, _ = in_seconds(state)
    return (
        ("RateLimit-Policy", f'"{limit.name}";q={limit.capacity};{_quota_unit(limit)}'),
        ("RateLimit", f'"{limit.name}";r={remaining};t={reset_s}'),
        ("X-RateLimit-Limit", str(limit.capacity)),
        ("X-RateLimit-Remaining", str(remaining)),
        ("X-RateLimit-Reset", str(reset_s)),
    )


def _quota_unit(limit: Limit) -> str:
    """Return the rest of a policy: the window of a rate, or that requests under way are counted."""
    if limit.is_concurrency:
        return 'qu="concurrent-requests"'  # section 3.1.1 of the draft; no window goes with it
    return f"w={limit.window_s}"


def fields_beside(refusal: Refusal, record: RequestRecord) -> FieldLines:
    """Return the fields that every answer to a request has, beside those of ``refusal``."""
    if record.limit is None or isinstance(refusal, RateLimited):  # which tells of its own limit
        return record.fields
    return record.fields + told_limit(record.limit)


def in_seconds(state: LimitState) -> LimitState:
    """Round the times of ``state`` up to whole seconds; one is the least to wait."""
    limit, allowed, remaining, reset_s, retry_after_s = state
    return LimitState(limit, allowed, remaining, ceil(reset_s), max(1, ceil(retry_after_s)))
