"""Files of cookies, as ``curl --cookie-jar`` and browsers' extensions write them."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from gateway.explain.question import UrlParts

_COLUMNS = 7
_PORT = re.compile(r":[0-9]*\Z")
_HTTP_ONLY = "#HttpOnly_"


class _StoredCookie(NamedTuple):
    domain: str
    has_subdomains: bool
    path: str
    is_secure: bool
    pair: str

    def belongs_to(self, host: str, path: str, *, is_secure: bool) -> bool:
        """Whether a browser sends it there (RFC 6265 section 5.4)."""
        domain = self.domain.lstrip(".").lower()
        is_below = self.has_subdomains and host.endswith(f".{domain}")
        start = self.path.rstrip("/")
        is_on_path = path == start or path.startswith(f"{start}/")
        return (host == domain or is_below) and is_on_path and (is_secure or not self.is_secure)


def cookies_for(text: str, place: UrlParts) -> str:
    """
    Return the value of the Cookie field for ``place``; empty where no cookie belongs there.

    ``text`` is a file in Netscape's format, or the value itself, on one line.
    """
    lines = text.splitlines()
    stored = list(_stored(lines))
    if not stored:
        plain = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        return "; ".join(line.removeprefix("Cookie:").strip() for line in plain)
    host = _PORT.sub("", place.host).lower()
    path = place.target.partition("?")[0]
    return "; ".join(
        cookie.pair
        for cookie in stored
        if cookie.belongs_to(host, path, is_secure=place.scheme == "https")
    )


def _stored(lines: list[str]) -> Iterator[_StoredCookie]:
    for line in lines:
        row = line.removeprefix(_HTTP_ONLY)
        columns = row.split("\t")
        if row.startswith("#") or len(columns) != _COLUMNS:
            continue
        domain, has_subdomains, path, is_secure, _, name, value = columns
        yield _StoredCookie(
            domain, has_subdomains == "TRUE", path, is_secure == "TRUE", f"{name}={value}"
        )
