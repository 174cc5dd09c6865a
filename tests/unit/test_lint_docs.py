"""
docs/lints.md: its reference is generated from the tables, and what it shows is what commands print.

``python -m tools.write_tables`` writes the reference, and the output of the commands on the page.
"""

import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli.main import main
from gateway.config.checks import CHECKS
from gateway.config.lint_table import LINT_TABLE, LintEntry
from gateway.config.problems import REMEDIES
from tests.unit.test_docs import DOCS, ENV, ROOT

PAGE = DOCS / "lints.md"
START = "## All findings\n"
_SHOWN = re.compile(r"^```console\n\$ gateway ([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def reference() -> str:
    """The part of the page that is generated: all codes, with an example of each lint."""
    return "".join((START, *_summary(), *map(_section, LINT_TABLE.values()), *_errors()))


def _summary() -> Iterator[str]:
    yield "\n| code | severity | finding |\n|---|---|---|\n"
    for entry in LINT_TABLE.values():
        yield f"| [`{entry.code}`](#{entry.code}) | {entry.severity} | {entry.title} |\n"


def _section(entry: LintEntry) -> str:
    old, new = entry.repair
    repair = f"`{old}` becomes `{new}`" if new else f"without `{old}`"
    # Not tagged as YAML: it is a part of a config.
    example = f"```text\n{entry.example}```\n"
    return (
        f"\n### {entry.code}\n\n{entry.title}. {entry.why}\n\n**Remedy:** {entry.remedy}\n\n"
        f"{example}\nRepaired: {repair}.\n"
    )


def _errors() -> Iterator[str]:
    yield "\n## Errors\n\nWith one of these the gateway does not start.\n"
    yield "\n| code | finding | remedy |\n|---|---|---|\n"
    for code, remedy in REMEDIES.items():
        yield f"| `{code}` | the message says it | {_cell(remedy)} |\n"
    seen: dict[str, list[str]] = {}
    remedies: Mapping[str, str] = {check.code: check.remedy for check in CHECKS}
    for check in CHECKS:
        first = (check.find.__doc__ or "").strip().partition("\n\n")[0]
        seen.setdefault(check.code, []).append(" ".join(first.split()))
    for code, texts in seen.items():
        yield f"| `{code}` | {_cell(' '.join(texts))} | {_cell(remedies[code])} |\n"


def _cell(text: str) -> str:
    return text.replace("``", "`").replace("|", "\\|")


def output(arguments: str) -> str:
    """What a command prints on the page: both outputs, and an exit status other than 0."""
    runner = CliRunner(env={**ENV, "COLUMNS": "100"})
    result = runner.invoke(main, shlex.split(arguments))
    status = f"exit status {result.exit_code}\n" if result.exit_code else ""
    return result.output + status


def write() -> None:
    """Write the reference into the page, and the outputs of its commands."""
    before = PAGE.read_text("utf-8")
    text = _SHOWN.sub(
        lambda found: f"```console\n$ gateway {found[1]}\n{output(found[1])}```",
        before.partition(START)[0] + reference(),
    )
    if text != before:
        PAGE.write_text(text, "utf-8")
        sys.stdout.write("written: docs/lints.md\n")


def test_the_page_has_the_reference() -> None:
    """Each code with its reason, its remedy and an example; and no other."""
    assert PAGE.read_text("utf-8").endswith(reference())


SHOWN = _SHOWN.findall(PAGE.read_text("utf-8"))


@pytest.mark.parametrize(("arguments", "shown"), SHOWN, ids=[found[0] for found in SHOWN])
def test_the_page_shows_what_commands_print(
    arguments: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Word for word, on the configs that are shipped and on broken ones."""
    monkeypatch.chdir(ROOT)
    assert shown == output(arguments)


def test_both_commands_are_shown() -> None:
    """On a config that passes, on careless and on broken ones."""
    statuses = {
        (arguments.split()[0], re.findall(r"^exit status \d$", shown, re.MULTILINE)[-1:] == [])
        for arguments, shown in SHOWN
    }
    assert {("check", True), ("check", False), ("diff", True), ("diff", False)} == statuses


def test_examples_that_are_shipped_are_named() -> None:
    """Each file for these commands is on the page."""
    for path in (*Path(ROOT / "examples/check").iterdir(), *Path(ROOT / "examples/diff").iterdir()):
        assert str(path.relative_to(ROOT)) in PAGE.read_text("utf-8")
