"""
A config that is not validated yet: plain data of any shape, with tolerant access.

Checks between keys read the draft instead of the settings, so that an error in one place hides none
in another.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

T = TypeVar("T")


class Draft(NamedTuple):
    """Plain data of any shape, parsed and with placeholders filled in."""

    data: object

    def at(self, *path: str | int) -> object:
        """Value at ``path``; None if there is none."""
        value = self.data
        for step in path:
            if isinstance(value, dict):
                value = value.get(step)
            elif isinstance(value, list) and isinstance(step, int) and step < len(value):
                value = value[step]
            else:
                return None
        return value

    def text(self, *path: str | int) -> str:
        """Text at ``path``; empty if there is none. A whole number is text, as to the schema."""
        value = self.at(*path)
        if type(value) is int:  # and no bool; see `gateway.config.units.of_text`
            return str(value)
        return value if isinstance(value, str) else ""

    def mapping(self, *path: str | int) -> dict[str, object]:
        """Mapping at ``path``; empty if there is none."""
        value = self.at(*path)
        return value if isinstance(value, dict) else {}

    def items(self, *path: str | int) -> list[object]:
        """List at ``path``; empty if there is none."""
        value = self.at(*path)
        return value if isinstance(value, list) else []

    def parsed(self, parse: Callable[[str], T], *path: str | int) -> T | None:
        """Text at ``path``, parsed; None if ``parse`` raises `ValueError`."""
        try:
            return parse(self.text(*path))
        except ValueError:
            return None

    def put(self, section: str, key: str, value: object) -> "Draft":
        """Copy the draft with ``value`` in place; unchanged if there is no such section."""
        data = {} if self.data is None else self.data
        part = self.at(section)
        part = {} if part is None else part
        if not isinstance(data, dict) or not isinstance(part, dict):
            return self
        return Draft({**data, section: {**part, key: value}})

    def put_default(self, section: str, key: str, value: object) -> "Draft":
        """Copy the draft like `put`, but keep a value that is there."""
        return self if key in self.mapping(section) else self.put(section, key, value)


def with_defaults(draft: Draft) -> Draft:
    """Add the defaults that depend on other keys."""
    scheme = draft.text("server", "public_url").partition(":")[0].lower()
    # Browsers take __Host- cookies over https alone (RFC 6265bis section 4.1.3.2).
    draft = draft.put_default(
        "session", "cookie", "session" if scheme == "http" else "__Host-session"
    )
    if draft.text("magic", "mode") == "development":
        draft = draft.put_default("server", "listen", ["127.0.0.1:8080"])
    return draft
