"""
Writes the tables that are generated from code into the pages of ``docs``: ``make tables``.

The tests hold that a page shows its tables as they are; this program makes it so again after a
refusal, a reason, a metric, a text of a page or a room was added or changed.
"""

import re
import sys
from pathlib import Path

from tests.unit import test_architecture_docs as architecture
from tests.unit import test_audit_docs as audit
from tests.unit import test_docs as pages
from tests.unit import test_lint_docs as lints
from tests.unit.selftest import test_codes as selftest

DOCS = Path(__file__).parents[1] / "docs"

_PICTURE = re.compile(r"^┌─+┐\n(?:[│├].*\n)+└.*\n", re.MULTILINE)
"""The storeys; only architecture.md has one."""

TABLES = {
    "audit.md": [audit.events_table, audit.findings_table],
    "errors.md": [pages.errors_table],
    "reasons.md": [pages.reasons_table],
    "operating.md": [pages.metrics_table],
    "hooks.md": [pages.hook_schedule_table],
    "login.md": [pages.texts_table],
    "login-api.md": [pages.pages_table],
    "selftest.md": [selftest.codes_table],
    "architecture.md": [architecture.rooms_table, architecture.layers_table],
}


def with_table(page: str, table: str) -> str:
    """Replace the table of ``page`` that has the header of ``table``. Raises ValueError."""
    header = re.escape(table.partition("\n")[0])
    written, count = re.subn(rf"^{header}\n(?:\|.*\n)+", lambda _: table, page, flags=re.MULTILINE)
    if count != 1:
        raise ValueError(f"{count} tables with the header {header}")
    return written


def main() -> None:
    """Write all tables, and the picture of the storeys."""
    picture = architecture.storeys_picture()
    for name, tables in TABLES.items():
        path = DOCS / name
        text = path.read_text("utf-8")
        for table in tables:
            text = with_table(text, table())
        text = _PICTURE.sub(picture, text)
        if text != path.read_text("utf-8"):
            path.write_text(text, "utf-8")
            sys.stdout.write(f"written: docs/{name}\n")
    lints.write()


if __name__ == "__main__":
    main()
