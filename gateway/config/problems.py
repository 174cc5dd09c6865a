"""Problems of a config, each with its place."""

import re
from collections.abc import Mapping
from typing import NamedTuple

KeyPath = tuple[str | int, ...]
"""Path from the root of the document: keys, and places in lists."""

_PLAIN = re.compile(r"[A-Za-z0-9_-]+")


class Unreadable:
    """Replaces a value whose problem is reported already, so that it is not reported twice."""


UNREADABLE = Unreadable()


class Problem(NamedTuple):
    """One problem. ``message`` contains no value of the config, as that may be a secret."""

    path: KeyPath
    message: str
    at_line: int | None = None
    """The line, if it is not that of ``path``."""
    separator: str = ": "
    """Text between key and message."""

    def line(self, lines: Mapping[KeyPath, int]) -> int:
        """Line of ``path``, or of the innermost enclosing value that the file contains."""
        if self.at_line:
            return self.at_line
        path = self.path
        while path and path not in lines:
            path = path[:-1]
        return lines.get(path, 1)

    def text(self, name: str, lines: Mapping[KeyPath, int]) -> str:
        """Write the problem for the operator: file, line, key, message."""
        subject = f"{dotted(self.path)}{self.separator}" if self.path else ""
        return f"{name}:{self.line(lines)}: {subject}{self.message}"


def dotted(path: KeyPath) -> str:
    """Write ``path`` as ``server.listen[0]``; keys with special characters are quoted."""
    return "".join(map(_step, path)).removeprefix(".")


def _step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if _PLAIN.fullmatch(step) else f"[{step!r}]"
