"""
Where somebody who has signed in may be led: a page of this site, or one of a listed host.

Whoever sends a link to the login page chooses what stands in ``return_to``. A value that a browser
could read as another site would lend our name to a phishing page (CWE-601), so nothing is repaired:
what is not plainly one of ours leads to ``/``.
"""

import re
from collections.abc import Iterable, Sequence
from urllib.parse import quote

from gateway.core.errors import BadTarget
from gateway.routing.target import alternative_paths, canonical_target

HOME = "/"
LONGEST = 2048
"""In characters. Longer links are cut by one program or another on the way."""

_FRAGMENT = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*")  # RFC 3986 section 3.5
_MARKUP = str.maketrans({character: quote(character) for character in "\"'<>\\^`{|}"})
"""Spelled as browsers spell them in a query; the value ends up in pages and scripts."""


class ReturnTo:
    """The places of one config; ``own_pages`` are those below ``prefix`` that one may return to."""

    def __init__(
        self,
        public_origin: str,
        prefix: str,
        hosts: Iterable[str] = (),
        own_pages: Iterable[str] = ("/account",),
    ) -> None:
        scheme = public_origin.partition("://")[0]
        self._public_origin = public_origin
        self._origins = tuple(f"{scheme}://{host}" for host in hosts)
        self._prefix = prefix
        self._own_pages = frozenset(prefix + page for page in own_pages)

    def only(self, values: Sequence[str]) -> str:
        """Like `checked`, for all that a query says: two values are one too many."""
        return self.checked(values[0]) if len(values) == 1 else HOME

    def checked(self, value: object) -> str:
        """
        ``value`` where it is safe to go there, else ``/``.

        The result is a path with its query and fragment, or a URL whose origin is a listed one.
        Origins must be spelled as browsers spell them, and the rest is what the gateway itself
        would take for a request's target, so that nobody reads it in two ways. The login page and
        its like are no place to return to: it would go round in circles.
        """
        if not isinstance(value, str) or len(value) > LONGEST:
            return HOME
        origin, rest = self._split(value)
        path = self._path(rest)
        return HOME if path is None else origin + path

    def _split(self, value: str) -> tuple[str, str]:
        """The listed origin that ``value`` begins with (none for our own), and what follows it."""
        if value.startswith("/"):
            return "", value
        for origin in (self._public_origin, *self._origins):
            rest = value.removeprefix(origin)
            if value.startswith(origin) and rest[:1] in ("", "/"):
                return "" if origin == self._public_origin else origin, rest or HOME
        return "", ""

    def _path(self, text: str) -> str | None:
        """The canonical form of a path with query and fragment; None where it is none."""
        wire, mark, fragment = text.partition("#")
        try:
            target = canonical_target(wire)
            alternative_paths(target.path)
        except BadTarget:
            return None
        if self._is_ours(target.path) or not _FRAGMENT.fullmatch(fragment):
            return None
        query = target.wire.removeprefix(target.path).translate(_MARKUP)
        return target.path + query + mark + fragment

    def _is_ours(self, path: str) -> bool:
        """Whether the gateway answers ``path`` itself, and not with a page to land on."""
        return f"{path}/".startswith(f"{self._prefix}/") and path not in self._own_pages
