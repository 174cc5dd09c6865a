"""Hop-by-hop fields, which are not forwarded (RFC 9110 section 7.6.1)."""

from multidict import CIMultiDictProxy

HOP_BY_HOP = frozenset(
    {
        "connection",
        "http2-settings",  # RFC 9113 section 3.2.1
        "keep-alive",
        "proxy-authenticate",  # RFC 9110 section 11.7.1
        "proxy-authorization",
        "proxy-connection",  # never standard, still sent
        "te",
        "trailer",  # trailers are not passed on, so none may be announced
        "transfer-encoding",
        "upgrade",
    }
)
"""RFC 9110 section 7.6.1. Content-Length travels with them: the framing of each side is its own."""


def nominated_fields(headers: CIMultiDictProxy[str]) -> frozenset[bytes]:
    """
    Return the field names that ``Connection`` declares hop-by-hop, in lower case.

    The gateway writes ``Host`` and all identity fields after these were dropped, so a client cannot
    remove them (GHSA-w9mr-28mw-j8hg, CVE-2024-45410).
    """
    if "Connection" not in headers:
        return _NONE_NOMINATED
    lines = headers.getall("Connection")
    if len(lines) == 1 and lines[0] in _COMMON_OPTIONS:
        return _NONE_NOMINATED
    return frozenset(
        option.strip().lower().encode("utf-8", "surrogateescape")
        for line in lines
        for option in line.split(",")
    )


_NONE_NOMINATED: frozenset[bytes] = frozenset()


_COMMON_OPTIONS = frozenset({"keep-alive", "close", "Keep-Alive", "Close"})
