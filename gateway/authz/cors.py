"""
CORS (the Fetch standard, section 3.3): which pages of other origins may read responses.

The policy of a route is serialised once. It replaces CORS fields of the app, so that there is one
policy. The gateway's own refusals carry it too: a page can read why it was refused.
"""

import re
from collections.abc import Iterable
from typing import Final

from gateway.core.errors import CrossSite
from gateway.core.reasons import CrossSiteReason
from gateway.core.request import Reply, RequestHead, RequestHeaders
from gateway.core.route import Cors, FieldLines, Route

ANY: Final = "*"
_NO_CONTENT: Final = 204
_METHOD: Final = re.compile(r"[A-Z][A-Z-]{0,31}")
_CREDENTIALS: Final = ("Authorization", "Cookie", "Proxy-Authorization")
_OTHERWISE: Final = (("Vary", "Origin"),)
_CORS_LINE: Final = b"access-control-"


def policy(
    origins: Iterable[str],
    *,
    methods: Iterable[str],
    headers: Iterable[str],
    expose: Iterable[str],
    credentials: bool,
    max_age_s: float,
    passes_preflights: bool,
) -> Cors:
    """Build the field lines for each of ``origins``; with `ANY` there are no credentials."""
    answers, preflights = {}, {}
    shown = ", ".join(expose)
    for origin in origins:
        granted: FieldLines = (("Access-Control-Allow-Origin", origin),)
        if credentials:
            granted += (("Access-Control-Allow-Credentials", "true"),)
        if origin != ANY:
            granted += _OTHERWISE
        answers[origin] = granted + ((("Access-Control-Expose-Headers", shown),) if shown else ())
        preflights[origin] = (
            *granted,
            ("Access-Control-Allow-Methods", ", ".join(sorted(methods))),
            ("Access-Control-Allow-Headers", ", ".join(headers)),
            ("Access-Control-Max-Age", str(int(max_age_s))),
        )
    return Cors(
        answers=answers,
        preflights=preflights,
        otherwise=answers.get(ANY, _OTHERWISE),
        credentialed=frozenset(answers) if credentials else frozenset(),
        passes_preflights=passes_preflights,
    )


def asked_method(head: RequestHead) -> str | None:
    """
    Return the method that a preflight asks for; None where ``head`` is no preflight.

    Browsers send preflights without body and credentials. A request with either is no preflight, so
    their exemption from authentication cannot be used for other requests.
    """
    headers = head.headers
    asked = headers.getall("Access-Control-Request-Method", ())
    if head.method != "OPTIONS" or head.upgrade or len(asked) != 1:
        return None
    if len(headers.getall("Origin", ())) != 1 or any(name in headers for name in _CREDENTIALS):
        return None
    if "Transfer-Encoding" in headers or headers.get("Content-Length", "0") != "0":
        return None
    return asked[0] if _METHOD.fullmatch(asked[0]) else None


def answer_fields(cors: Cors, headers: RequestHeaders) -> FieldLines:
    """Return the CORS fields of the response to a request with ``headers``."""
    origins = headers.getall("Origin", ())
    return cors.answers.get(origins[0], cors.otherwise) if len(origins) == 1 else cors.otherwise


def replaces_cors(route: Route) -> bool:
    """Whether the gateway, and not the app, writes the CORS fields of ``route``."""
    return route.cors is not None and not route.cors.passes_preflights


def preflight_answer(cors: Cors, headers: RequestHeaders) -> Reply:
    """
    Answer a preflight without asking the app.

    The requested method and headers do not matter: the browser compares them with the answer.
    Raises `CrossSite` for an origin that is not listed.
    """
    granted = cors.preflights.get(headers["Origin"]) or cors.preflights.get(ANY)
    if granted is None:
        raise CrossSite(CrossSiteReason.PREFLIGHT_FOREIGN)
    return Reply(_NO_CONTENT, granted, b"")


def replaced(block: bytes, lines: bytes) -> bytes:
    """Return ``block`` with ``lines`` in place of the CORS fields of the app."""
    kept = [
        line
        for line in block.splitlines(keepends=True)
        if line[: len(_CORS_LINE)].lower() != _CORS_LINE
    ]
    return b"".join((*kept, lines))
