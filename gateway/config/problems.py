"""Problems of a config, each with its place, its code and its remedy."""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from gateway.config.findings import Finding, InvalidConfig, Severity

KeyPath = tuple[str | int, ...]
"""Path from the root of the document: keys, and places in lists."""

_PLAIN = re.compile(r"[A-Za-z0-9_-]+")
_EXPECTED = "expected "

INVALID_VALUE = "invalid-value"
MISSING_KEY = "missing-key"
UNKNOWN_KEY = "unknown-key"
REPEATED_KEY = "repeated-key"
NOT_SUPPORTED = "not-supported-yet"
PLACEHOLDER = "placeholder"
UNSET_VARIABLE = "unset-variable"
SYNTAX = "yaml-syntax"
UNREADABLE_CONFIG = "unreadable-config"

REMEDIES = {
    INVALID_VALUE: "change the value as the message says",
    MISSING_KEY: "add the key",
    UNKNOWN_KEY: "remove the key, or correct its name",
    REPEATED_KEY: "remove one of them",
    NOT_SUPPORTED: "remove it",
    PLACEHOLDER: "provide the file, or write the placeholder as the message says",
    UNSET_VARIABLE: "set it, or write a default: ${NAME:-default}",
    SYNTAX: "correct this line, or the one above it",
    UNREADABLE_CONFIG: "name a readable file with --config",
}
"""Remedies for problems that bring none of their own."""


class Unreadable:
    """Replaces a value whose problem is reported already, so that it is not reported twice."""


UNREADABLE = Unreadable()


class Problem(NamedTuple):
    """
    One problem. Neither ``message`` nor ``remedy`` contains a value of the config, as that may be
    a secret.
    """

    path: KeyPath
    message: str
    at_line: int | None = None
    """The line, if it is not that of ``path``."""
    separator: str = ": "
    """Text between key and message."""
    remedy: str = ""
    """Empty if the message says it."""
    code: str = INVALID_VALUE
    default_remedy: str = ""
    """For programs, where ``remedy`` is empty."""

    def line(self, lines: Mapping[KeyPath, int]) -> int:
        """Line of ``path``, or of the innermost enclosing value that the file contains."""
        if self.at_line:
            return self.at_line
        path = self.path
        while path and path not in lines:
            path = path[:-1]
        return lines.get(path, 1)

    def text(
        self, name: str, lines: Mapping[KeyPath, int], severity: Severity = Severity.ERROR
    ) -> str:
        """Write the problem for the operator: file, line, key, message, remedy."""
        subject = f"{dotted(self.path)}{self.separator}" if self.path else ""
        remedy = f": {self.remedy}" if self.remedy else ""
        sentence = f"{subject}{self.message}{remedy}"
        if severity is Severity.WARNING:
            sentence = f"warning: {sentence} [{self.code}]"
        return f"{name}:{self.line(lines)}: {sentence}"

    def finding(self, name: str, lines: Mapping[KeyPath, int], severity: Severity) -> Finding:
        """Write the problem for programs."""
        return Finding(
            name,
            self.line(lines),
            dotted(self.path),
            self.code,
            severity,
            self.message,
            self.remedy or self._default_remedy(),
        )

    def _default_remedy(self) -> str:
        if self.code == INVALID_VALUE and self.message.startswith(_EXPECTED):
            return f"write {self.message.removeprefix(_EXPECTED)}"
        return self.default_remedy or REMEDIES[self.code]


def invalid(
    problems: Iterable[Problem], name: str, lines: Mapping[KeyPath, int] | None = None
) -> InvalidConfig:
    """Make the error that reports ``problems`` of the file called ``name``."""
    listed, lines = list(problems), lines or {}
    return InvalidConfig(
        [problem.text(name, lines) for problem in listed],
        tuple(problem.finding(name, lines, Severity.ERROR) for problem in listed),
    )


def dotted(path: KeyPath) -> str:
    """Write ``path`` as ``server.listen[0]``; keys with special characters are quoted."""
    return "".join(map(_step, path)).removeprefix(".")


def _step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if _PLAIN.fullmatch(step) else f"[{step!r}]"
