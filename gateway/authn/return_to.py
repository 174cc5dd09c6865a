"""
Open-redirect protection (CWE-601): checks the URL that signing in leads back to.

The sender of a link to the login page chooses the value of ``return_to``. A value that a browser
could read as another site would lend our name to a phishing page. So nothing is repaired: a value
that is not plainly a page of this site or of a listed host is replaced by ``/``.
"""

import re
from collections.abc import Iterable, Sequence
from urllib.parse import quote

from gateway.core.errors import BadTarget
from gateway.routing.target import alternative_paths, canonical_target

HOME = "/"
LONGEST = 2048
"""Most characters of a value. Some programs on the way cut longer links off."""

_FRAGMENT = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*")  # RFC 3986 section 3.5
_MARKUP = str.maketrans({character: quote(character) for character in "\"'<>\\^`{|}"})
"""Percent-encodes markup as browsers do in a query: the value ends up in pages and scripts."""


class ReturnTo:
    """Checks ``return_to`` by one config: its origins, and the own pages that are allowed."""

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
        """Check the only value of a query parameter; return ``/`` for none, or several."""
        return self.checked(values[0]) if len(values) == 1 else HOME

    def checked(self, value: object) -> str:
        """
        Return ``value`` where it is a safe destination, else ``/``.

        The result is a path with its query and fragment, or a URL with a listed origin. Origins
        must be spelled as browsers spell them. The rest must be a valid request target, so that
        browser and gateway read it alike. The login page and other own pages are refused, because
        they would redirect in a loop.
        """
        if not isinstance(value, str) or len(value) > LONGEST:
            return HOME
        origin, rest = self._split(value)
        path = self._path(rest)
        return HOME if path is None else origin + path

    def _split(self, value: str) -> tuple[str, str]:
        """Split off the listed origin that ``value`` begins with; it is empty for our own."""
        if value.startswith("/"):
            return "", value
        for origin in (self._public_origin, *self._origins):
            rest = value.removeprefix(origin)
            if value.startswith(origin) and rest[:1] in ("", "/"):
                return "" if origin == self._public_origin else origin, rest or HOME
        return "", ""

    def _path(self, text: str) -> str | None:
        """Return the canonical form of a path with query and fragment; None if it is invalid."""
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
        """Whether ``path`` is an own page of the gateway that one may not return to."""
        return f"{path}/".startswith(f"{self._prefix}/") and path not in self._own_pages
