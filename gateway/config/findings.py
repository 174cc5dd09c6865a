"""Findings about a config, for programs: errors and warnings with their place and their remedy."""

from enum import StrEnum
from typing import NamedTuple

from gateway.core.errors import ConfigError


class Severity(StrEnum):
    """Whether the gateway would start."""

    ERROR = "error"
    WARNING = "warning"


class Finding(NamedTuple):
    """One finding. ``code`` is stable: programs may depend on it."""

    file: str
    line: int
    key: str
    """Empty for the whole file."""
    code: str
    severity: Severity
    message: str
    remedy: str


class InvalidConfig(ConfigError):
    """A config with errors, as text and as findings."""

    def __init__(self, problems: list[str], findings: tuple[Finding, ...]) -> None:
        super().__init__(problems)
        self.findings = findings

    def has(self, code: str) -> bool:
        """Whether there is a finding of this code."""
        return any(found.code == code for found in self.findings)
