"""The session cookie, as a Set-Cookie value (RFC 6265)."""

import re
from collections.abc import Iterator
from itertools import islice

TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""A token of RFC 9110 section 5.6.2, which RFC 6265 section 4.1.1 requires of a name."""

OCTETS = re.compile(r"[!#-+\--:<-\[\]-~]*")
"""``cookie-octet``: no control characters, space, quotes, comma, semicolon or backslash."""

SECURE_PREFIXES = ("__host-", "__secure-")
"""Browsers drop a cookie of such a name unless it is Secure (RFC 6265bis section 4.1.3)."""

_PLAIN_PATH = re.compile(r"/[A-Za-z0-9/._~%!$&'()*+,=:@-]*")
"""A URL path as browsers send it (RFC 3986 section 3.3), without what would end an attribute."""

_NAMES = re.compile(r"(?:[a-z0-9-]+\.)*[a-z][a-z0-9-]*")
"""A host name. The last label of an IP address begins with a digit, or has a colon in it."""

_MAX_CLEARED = 32
"""Set-Cookie lines in one response: some 3 KiB, which proxies in front still accept."""


class Cookie:
    """
    Writes one cookie of the gateway: for the whole host, HttpOnly, and SameSite=Lax.

    It never has a Domain, so that sibling hosts do not receive it. With a ``__Host-`` name, they
    cannot set it either.
    """

    def __init__(self, name: str, *, secure: bool) -> None:
        """Raises ValueError for a name that browsers would refuse."""
        if not TOKEN.fullmatch(name):
            raise ValueError("a cookie's name may hold no spaces, separators or non-ASCII letters")
        if name.lower().startswith(SECURE_PREFIXES) and not secure:
            raise ValueError(f"a cookie named {name} must be Secure, which needs https")
        self.name = name
        self._attributes = "; Path=/; HttpOnly; SameSite=Lax" + ("; Secure" if secure else "")

    def set(self, value: str, max_age_s: int) -> str:
        """
        Make the line that sets ``value`` for ``max_age_s`` seconds; 0 or less deletes the cookie.

        Raises ValueError for a value with characters that could end it.
        """
        if not OCTETS.fullmatch(value):
            raise ValueError("a cookie's value may hold no spaces, separators or non-ASCII letters")
        return f"{self.name}={value}; Max-Age={max(0, max_age_s)}{self._attributes}"

    def clear(self) -> str:
        """Make the line that deletes the cookie."""
        return self.set("", 0)

    def clear_foreign(self, host: str, path: str) -> tuple[str, ...]:
        """
        Make the lines that delete foreign cookies of our name (cookie tossing), but not our own.

        A sibling host, or a script, has set them for a domain or a path of its choice. Browsers do
        not name that domain and path. But they send a cookie only to paths below its own, on hosts
        below its domain (RFC 6265 section 5.4), so the lines clear all that match ``path`` and
        ``host``. Ours has no Domain and the path ``/``. The likeliest come first, up to 32.
        """
        if self.name.lower().startswith("__host-"):
            return ()  # browsers refuse foreign cookies of this name
        places = (
            (domain, below)
            for below in _paths_above(path)
            for domain in ("", *_domains_above(host))
            if domain or below != "/"
        )
        return tuple(
            self.set("", 0).replace("; Path=/", f"; Path={below}", 1)
            + (f"; Domain={domain}" if domain else "")
            for domain, below in islice(places, _MAX_CLEARED)
        )


def _paths_above(path: str) -> Iterator[str]:
    """Yield all cookie paths that match ``path``, with and without final slash, shortest first."""
    yield "/"
    if not _PLAIN_PATH.fullmatch(path):
        return
    for at, character in enumerate(path):
        if character == "/" and at:
            yield path[:at]
            yield path[: at + 1]
    if not path.endswith("/"):
        yield path


def _domains_above(host: str) -> Iterator[str]:
    """
    Yield ``host`` and its parent domains, except top-level domains; nothing for an IP address.

    For a host of one label, browsers ignore ``Domain`` (RFC 6265 section 5.3, step 5). There, the
    line that deletes a foreign cookie would delete our own.
    """
    if not _NAMES.fullmatch(host):
        return
    while "." in host:
        yield host
        host = host.partition(".")[2]
