"""What is wrong with a config, and where."""

import re
from collections.abc import Mapping
from typing import NamedTuple

KeyPath = tuple[str | int, ...]
"""The way from the root of the document: keys, and places in lists."""

_PLAIN = re.compile(r"[A-Za-z0-9_-]+")


class Unreadable:
    """Stands for a value whose fault is known: nobody needs to hear of it again."""


UNREADABLE = Unreadable()


class Problem(NamedTuple):
    """One fault. ``message`` holds no value of the config: that may be a secret."""

    path: KeyPath
    message: str
    at_line: int | None = None
    """Where the line is not that of ``path``."""
    joint: str = ": "
    """What stands between key and message."""

    def line(self, lines: Mapping[KeyPath, int]) -> int:
        """The line of ``path``, or of the nearest thing around it that was written."""
        if self.at_line:
            return self.at_line
        path = self.path
        while path and path not in lines:
            path = path[:-1]
        return lines.get(path, 1)

    def text(self, name: str, lines: Mapping[KeyPath, int]) -> str:
        """The sentence for the operator: file, line, key, fault."""
        subject = f"{dotted(self.path)}{self.joint}" if self.path else ""
        return f"{name}:{self.line(lines)}: {subject}{self.message}"


def dotted(path: KeyPath) -> str:
    """``path`` as people write it: ``server.listen[0]``."""
    return "".join(map(_step, path)).removeprefix(".")


def _step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if _PLAIN.fullmatch(step) else f"[{step!r}]"
