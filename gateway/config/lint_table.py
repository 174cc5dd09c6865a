"""
The table of lints, from ``lints.toml`` beside this module: each code with what it means.

`gateway check` takes severities and remedies from it, and docs/lints.md is generated from it.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from gateway.config.findings import Severity


class LintEntry(NamedTuple):
    """What one code means, and a config that has the finding."""

    code: str
    severity: Severity
    title: str
    why: str
    remedy: str
    """One sentence."""
    example: str
    """Sections of a config that has the finding."""
    repair: tuple[str, str]
    """A text of the example, and the one that replaces it so that the finding is gone."""

    @property
    def repaired(self) -> str:
        """The example without the finding."""
        return self.example.replace(*self.repair)


def read_table(text: str) -> Mapping[str, LintEntry]:
    """Read the table, by code, in the order of the file."""
    return {code: _entry(code, fields) for code, fields in tomllib.loads(text).items()}


def _entry(code: str, fields: Mapping[str, Any]) -> LintEntry:
    severity = Severity(fields.get("severity", Severity.WARNING))
    title, why, remedy, example = (fields[key] for key in ("title", "why", "remedy", "example"))
    old, new = fields["repair"]
    return LintEntry(code, severity, title, why, remedy, example, (old, new))


LINT_TABLE = read_table(Path(__file__).with_name("lints.toml").read_text("utf-8"))
"""All lints by code, in the order of the documentation."""
