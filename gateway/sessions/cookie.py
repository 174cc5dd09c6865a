"""The session cookie, as a Set-Cookie value (RFC 6265)."""

import re

TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""RFC 9110 section 5.6.2, which RFC 6265 section 4.1.1 asks of a name."""

OCTETS = re.compile(r"[!#-+\--:<-\[\]-~]*")
"""``cookie-octet``: no control characters, space, quotes, comma, semicolon or backslash."""

SECURE_PREFIXES = ("__host-", "__secure-")
"""Browsers drop a cookie of such a name unless it is Secure (RFC 6265bis section 4.1.3)."""


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
