"""The session cookie, as a Set-Cookie value (RFC 6265)."""

import re
from collections.abc import Iterator
from itertools import islice

TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""RFC 9110 section 5.6.2, which RFC 6265 section 4.1.1 asks of a name."""

OCTETS = re.compile(r"[!#-+\--:<-\[\]-~]*")
"""``cookie-octet``: no control characters, space, quotes, comma, semicolon or backslash."""

SECURE_PREFIXES = ("__host-", "__secure-")
"""Browsers drop a cookie of such a name unless it is Secure (RFC 6265bis section 4.1.3)."""


_PLAIN_PATH = re.compile(r"/[A-Za-z0-9/._~%!$&'()*+,=:@-]*")
"""Of a URL, as browsers send it (RFC 3986 section 3.3): nothing that would end an attribute."""

_NAMES = re.compile(r"(?:[a-z0-9-]+\.)*[a-z][a-z0-9-]*")
"""A host's name; the last label of an address begins with a digit, or has a colon in it."""

_MAX_CLEARED = 32
"""Lines of an answer: some 3 KiB, which proxies in front still take."""


class Cookie:
    """
    One cookie of the gateway: for the whole host, out of reach of scripts, not sent cross-site.

    It never has a Domain, so that sibling hosts do not get it; a ``__Host-`` name makes sure that
    they cannot set it either.
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
        Keep ``value`` for ``max_age_s`` seconds; 0 or less forgets it at once.

        Raises ValueError for a value that would break out of its place.
        """
        if not OCTETS.fullmatch(value):
            raise ValueError("a cookie's value may hold no spaces, separators or non-ASCII letters")
        return f"{self.name}={value}; Max-Age={max(0, max_age_s)}{self._attributes}"

    def clear(self) -> str:
        """Forget the cookie."""
        return self.set("", 0)

    def clear_foreign(self, host: str, path: str) -> tuple[str, ...]:
        """
        Forget all cookies of our name that came to ``path`` on ``host``, but for our own.

        A sibling host, or a script, has set them for a domain or a path of their choice. Which one
        it was browsers do not say; but they send a cookie only to paths below its own, on hosts
        below its domain (RFC 6265 section 5.4), so it is one of these. Ours has no Domain and the
        path ``/``. The likeliest come first; more than a few dozen are not tried.
        """
        if self.name.lower().startswith("__host-"):
            return ()  # there is no other
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
    """All that match ``path``, with and without a slash at the end, the shortest first."""
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
    ``host`` and what it belongs to; an address belongs to nothing, and no site to a TLD.

    Of a host that is one label browsers ignore ``Domain`` (RFC 6265 section 5.3, step 5): what
    clears a stranger there would clear our own.
    """
    if not _NAMES.fullmatch(host):
        return
    while "." in host:
        yield host
        host = host.partition(".")[2]
