"""Refusals on the wire: RFC 9457 problem documents and the fields that go with them."""

from math import ceil

import orjson

from gateway.core.errors import (
    PROBLEM_TYPES,
    AmbiguousCredentials,
    Forbidden,
    InvalidToken,
    MethodNotAllowed,
    RateLimited,
    Refusal,
    SignInFirst,
    Unavailable,
    WrongWebSocketVersion,
)
from gateway.core.limit import LimitState
from gateway.core.request import Reply

_UNAUTHORIZED = 401
_DECIDED_BY = "Accept, Authorization, Cookie, Sec-Fetch-Mode, X-Requested-With"
"""Fields that decide between 401 and the login page; see `gateway.authn.login_redirect`."""
_WEBSOCKET_VERSION = (
    ("Sec-WebSocket-Version", "13"),  # RFC 6455 section 4.4
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),  # RFC 9110 section 15.5.22
)


def problem(refusal: Refusal, request_id: str) -> tuple[str, Reply]:
    """
    Return the code of ``refusal`` and the response with its problem document.

    The document names the kind of refusal; only `Forbidden` names its reason too. ``code`` is
    stable, for programs; ``request_id`` leads to the log line with the reason.
    """
    kind = PROBLEM_TYPES[type(refusal)]
    status = int(kind.status)
    document: dict[str, object] = {
        "type": "about:blank",
        "title": kind.title,
        "status": status,
        "code": kind.code,
        "request_id": request_id,
    }
    if refusal.login_url:
        document["login_url"] = refusal.login_url
    if isinstance(refusal, Forbidden):
        document["reason"] = refusal.reason
    fields = _fields(refusal, status)
    return kind.code, Reply(status, fields, orjson.dumps(document))


def _fields(refusal: Refusal, status: int) -> tuple[tuple[str, str], ...]:
    fields: tuple[tuple[str, str], ...] = (
        ("Content-Type", "application/problem+json"),
        ("Cache-Control", "no-store"),
    )
    match refusal:
        case RateLimited(state=state):
            fields += rate_limit_fields(state)
        case MethodNotAllowed(allowed=methods):
            fields += (("Allow", ", ".join(methods)),)  # RFC 9110 section 15.5.6 demands it
        case AmbiguousCredentials(clears=clears):
            fields += tuple(("Set-Cookie", value) for value in clears)
        case Unavailable(retry_after_s=seconds):
            fields += (("Retry-After", str(ceil(seconds))),)  # RFC 9110 section 10.2.3
        case SignInFirst(location=location):
            fields += _redirect_fields(location, status)
        case InvalidToken():
            # RFC 6750 section 3: an error is named only where a token was sent.
            fields += (("WWW-Authenticate", 'Bearer error="invalid_token"'),)
        case WrongWebSocketVersion():
            fields += _WEBSOCKET_VERSION
        case _ if status == _UNAUTHORIZED:
            fields += (("WWW-Authenticate", "Bearer"),)  # RFC 9110 section 15.5.2 demands one
    if refusal.login_url:
        fields += (("Vary", _DECIDED_BY),)
    return fields


def _redirect_fields(location: str, status: int) -> tuple[tuple[str, str], ...]:
    """Fields of the redirect to the login page, or of the 401 that names it to nginx."""
    fields = (("Location", location), ("Vary", _DECIDED_BY))
    return (*fields, ("WWW-Authenticate", "Bearer")) if status == _UNAUTHORIZED else fields


def rate_limit_fields(state: LimitState) -> tuple[tuple[str, str], ...]:
    """
    ``Retry-After``, the fields of draft-ietf-httpapi-ratelimit-headers-10, and the ``X-`` ones.

    All times are seconds from now, rounded up, so that a client that waits them is let in.
    """
    limit, reset_s = state.limit, ceil(state.reset_s)
    return (
        ("Retry-After", str(max(1, ceil(state.retry_after_s)))),
        ("RateLimit-Policy", f'"{limit.name}";q={limit.rate};w={limit.window_s}'),
        ("RateLimit", f'"{limit.name}";r={state.remaining};t={reset_s}'),
        ("X-RateLimit-Limit", str(limit.rate)),
        ("X-RateLimit-Remaining", str(state.remaining)),
        ("X-RateLimit-Reset", str(reset_s)),
    )
