"""
A config that may still be wrong, read tolerantly.

What spans several places is judged on the draft, not on the settings: so a fault in one place hides
none in another.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

T = TypeVar("T")


class Draft(NamedTuple):
    """Plain data, as parsed and filled in, of any shape whatever."""

    data: object

    def at(self, *path: str | int) -> object:
        """What stands at ``path``; None where nothing does."""
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
        """The text at ``path``; empty where there is none."""
        value = self.at(*path)
        return value if isinstance(value, str) else ""

    def mapping(self, *path: str | int) -> dict[str, object]:
        """The mapping at ``path``; empty where there is none."""
        value = self.at(*path)
        return value if isinstance(value, dict) else {}

    def items(self, *path: str | int) -> list[object]:
        """The list at ``path``; empty where there is none."""
        value = self.at(*path)
        return value if isinstance(value, list) else []

    def parsed(self, parse: Callable[[str], T], *path: str | int) -> T | None:
        """What ``parse`` makes of the text at ``path``; None where it raises `ValueError`."""
        try:
            return parse(self.text(*path))
        except ValueError:
            return None

    def put(self, section: str, key: str, value: object) -> "Draft":
        """A copy with ``value`` at the place; the same draft where the shape has no such place."""
        data = {} if self.data is None else self.data
        part = self.at(section)
        part = {} if part is None else part
        if not isinstance(data, dict) or not isinstance(part, dict):
            return self
        return Draft({**data, section: {**part, key: value}})

    def put_default(self, section: str, key: str, value: object) -> "Draft":
        """Like `put`, but what is there stays."""
        return self if key in self.mapping(section) else self.put(section, key, value)


def with_defaults(draft: Draft) -> Draft:
    """Add the defaults that follow from what stands elsewhere in the config."""
    scheme = draft.text("server", "public_url").partition(":")[0].lower()
    # Browsers take __Host- cookies over https alone (RFC 6265bis section 4.1.3.2).
    draft = draft.put_default(
        "session", "cookie", "session" if scheme == "http" else "__Host-session"
    )
    if draft.text("magic", "mode") == "development":
        draft = draft.put_default("server", "listen", ["127.0.0.1:8080"])
    return draft
