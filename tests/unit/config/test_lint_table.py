"""The table of lints: what it holds of each. test_lints.py of the runtime runs its examples."""

import re

from gateway.config.findings import Severity
from gateway.config.lint_table import LINT_TABLE, read_table


def test_an_entry_is_read_with_its_repair() -> None:
    """The repaired example is the example with one text replaced."""
    table = read_table(
        '[a-code]\nseverity = "error"\ntitle = "T"\nwhy = "W."\nremedy = "R."\n'
        'example = "a: 1"\nrepair = ["1", "2"]\n'
    )
    entry = table["a-code"]
    assert ("a-code", Severity.ERROR, "a: 1") == (entry.code, entry.severity, entry.example)
    assert "a: 2" == entry.repaired


def test_each_entry_says_what_it_finds_and_what_to_do() -> None:
    """A title without a full stop, a reason, and a remedy of one sentence."""
    for entry in LINT_TABLE.values():
        assert re.fullmatch(r"[a-z]+(?:-[a-z]+)+", entry.code)
        assert not entry.title.endswith("."), entry.code
        assert entry.why.endswith("."), entry.code
        assert re.fullmatch(r"[A-Z][^\n]*\.", entry.remedy), entry.code
        assert entry.example.count(entry.repair[0]) == 1, entry.code


def test_only_files_that_a_start_needs_are_errors() -> None:
    """All others are warnings: the gateway would start."""
    errors = [entry.code for entry in LINT_TABLE.values() if entry.severity is Severity.ERROR]
    assert ["unusable-file", "faulty-template"] == errors
