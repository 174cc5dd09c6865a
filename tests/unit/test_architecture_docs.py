"""
What docs/architecture.md and docs/decisions/ say of the code is so.

``make tables`` writes the picture and the tables that come from ``tools/layers.toml``.
"""

import ast
import re
from datetime import date
from pathlib import Path

import pytest

from tools.layers import PACKAGE, ROOT, files, layers, module_names, storeys

DOCS = ROOT / "docs"
ARCHITECTURE = DOCS / "architecture.md"
DECISIONS = DOCS / "decisions"
RECORDS = sorted(DECISIONS.glob("[0-9]*.md"))
PAGES = [ARCHITECTURE, *sorted(DECISIONS.glob("*.md"))]

STATUSES = {"accepted", "superseded", "rejected"}
SECTIONS = ("Context", "Decision", "Consequences", "Measured")
WIDTH = 92
FOREIGN = {"BaseProtocol", "StreamReader", "ClientSession"}
"""Classes of aiohttp that the pages name."""

_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
_ANCHOR = re.compile(r"\]\(([^)#:]*)#([^)]+)\)")
_CODE = re.compile(r"`([^`\n]+)`")
_CLASS = re.compile(r"_?(?:[A-Z][a-z0-9]+){2,}")
_MAKE = re.compile(r"`make ([a-z][a-z-]*)")
_TARGET = re.compile(r"^([a-z][a-z-]*):", re.MULTILINE)


def about(room: str) -> str:
    """The docstring of the room's ``__init__``: what the room holds."""
    return ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_bytes())) or ""


def storeys_picture() -> str:
    """The house: a storey of rooms on top of those that it uses."""
    lines = ["┌" + "─" * WIDTH + "┐"]
    for number, rooms in enumerate(storeys()):
        if number:
            lines.append("├" + "─" * WIDTH + "┤")
        lines.append("│" + " ─ ".join(rooms).center(WIDTH) + "│")
    return "\n".join([*lines, "└" + "─" * WIDTH + "┘"]) + "\n"


def rooms_table() -> str:
    """Each room, from the top of the house down, with what it holds."""
    lines = ["| storey | room | what it holds |", "|---|---|---|"]
    top = len(storeys())
    lines += [
        f"| {top - number} | `{room}` | {about(room)} |"
        for number, rooms in enumerate(storeys())
        for room in rooms
    ]
    return "\n".join(lines) + "\n"


def layers_table() -> str:
    """Each layer, with what its modules may do and how they are tested."""
    lines = ["| layer | what its modules do | all branches tested |", "|---|---|---|"]
    lines += [
        f"| {layer.name} | {layer.about} | {'yes' if layer.is_deciding else 'no'} |"
        for layer in layers()
    ]
    return "\n".join(lines) + "\n"


def protocols() -> list[str]:
    """The ports, by name."""
    return [
        node.name
        for module in ("ports", "event_ports")
        for node in ast.parse((PACKAGE / "core" / f"{module}.py").read_bytes()).body
        if isinstance(node, ast.ClassDef)
        and any(isinstance(base, ast.Name) and base.id == "Protocol" for base in node.bases)
    ]


def classes() -> set[str]:
    """The names of all classes and type aliases of the package."""
    source = "".join((PACKAGE.parent / path).read_text() for path in files(module_names()))
    source += (PACKAGE / "_kernel.pyi").read_text()  # in C
    return {name for _, name in re.findall(r"^(\s*class )?(\w+)(?: =|[(:])", source, re.MULTILINE)}


def section(text: str, title: str) -> str:
    """What stands below the heading ``title``; empty where there is none."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    return found[1].strip() if found else ""


def facts(record: Path) -> dict[str, str]:
    """The lines ``- Status: …`` and ``- Date: …`` below the title."""
    return dict(re.findall(r"^- (Status|Date): (.+)$", record.read_text(), re.MULTILINE))


def test_the_page_shows_the_house_as_it_is() -> None:
    """Picture and tables are those of ``tools/layers.toml``."""
    page = ARCHITECTURE.read_text()
    assert f"```\n{storeys_picture()}```" in page
    assert rooms_table() in page
    assert layers_table() in page


def test_every_room_says_what_it_holds() -> None:
    """The table has no empty cell."""
    assert [] == [room for rooms in storeys() for room in rooms if not about(room)]


def test_the_walk_names_every_room() -> None:
    """A newcomer who reads the rooms in the order of a request has seen all of them."""
    walk = section(ARCHITECTURE.read_text(), "The rooms, in the order of a request")
    rooms = [room for rooms in storeys() for room in rooms]
    assert [] == [room for room in rooms if f"**{room}**" not in walk]


def test_every_port_is_on_the_page() -> None:
    """With its promise, its implementations and its suite."""
    table = section(ARCHITECTURE.read_text(), "Ports")
    assert protocols() == re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)


def test_every_contract_suite_is_on_the_page() -> None:
    """A port that gets a suite is found by it."""
    table = section(ARCHITECTURE.read_text(), "Ports")
    suites = {path.name for path in (ROOT / "tests" / "contract").glob("test_*.py")}
    assert set() == {name for name in suites if name not in table}


def test_every_key_on_the_page_is_one_of_the_code() -> None:
    """A Redis key that was renamed or removed does not stay on the page."""
    shared = section(ARCHITECTURE.read_text(), "What is shared")
    keys = re.findall(r"`([a-z-]+:)\{", shared)
    source = "".join(path.read_text() for path in sorted(PACKAGE.rglob("*.py")))
    assert keys
    assert [] == [key for key in keys if f'"{key}' not in source]


def test_the_records_are_numbered_without_gaps() -> None:
    """A record keeps its number for good."""
    numbers = [int(path.name[:4]) for path in RECORDS]
    assert list(range(1, len(RECORDS) + 1)) == numbers


@pytest.mark.parametrize("record", RECORDS, ids=lambda path: path.stem)
def test_a_record_says_what_a_record_has_to(record: Path) -> None:
    """Status, date, context, decision, consequences, and what was measured by which command."""
    text = record.read_text()
    said = facts(record)
    assert text.startswith(f"# {int(record.name[:4])}. ")
    assert said["Status"].split()[0] in STATUSES
    assert said["Date"] == date.fromisoformat(said["Date"]).isoformat()
    assert [] == [title for title in SECTIONS if not section(text, title)]


def test_the_index_lists_every_record() -> None:
    """In order, each with its title and its status."""
    listed = re.findall(r"^\| \[(.+?)\]\((.+?)\) \| (\w+) \|$", index(), re.MULTILINE)
    expected = [
        (title(record), record.name, facts(record)["Status"].split()[0]) for record in RECORDS
    ]
    assert expected == listed


def index() -> str:
    """The page that lists the records."""
    return (DECISIONS / "README.md").read_text()


def title(record: Path) -> str:
    """The first line of ``record``, without its mark."""
    return record.read_text().partition("\n")[0].removeprefix("# ")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """No link to a file of the repository is broken."""
    targets = _LINK.findall(page.read_text())
    assert [] == [target for target in targets if not (page.parent / target).exists()]


def slugs(page: Path) -> set[str]:
    """The anchors of the headings of ``page``, as they are made on the hosting service."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [*ROOT.glob("*.md"), *DOCS.rglob("*.md")], ids=lambda p: p.name)
def test_anchors_lead_to_a_heading(page: Path) -> None:
    """A heading that was reworded is reworded where it is linked to."""
    links = _ANCHOR.findall(page.read_text())
    lost = [
        f"{path}#{anchor}"
        for path, anchor in links
        if anchor not in slugs((page.parent / path) if path else page)
    ]
    assert [] == lost


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_classes_that_are_named_exist(page: Path) -> None:
    """A class that was renamed is renamed here too."""
    code = {text for text in _CODE.findall(page.read_text()) if _CLASS.fullmatch(text)}
    assert set() == code - classes() - FOREIGN


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_make_targets_that_are_named_exist(page: Path) -> None:
    """A command on the page can be run."""
    targets = set(_TARGET.findall((ROOT / "Makefile").read_text()))
    assert set() == set(_MAKE.findall(page.read_text())) - targets
