"""The files for hosting and for editors: they can be read, and they call what is there."""

import re
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TEMPLATES = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.md"))
MAKEFILE = (ROOT / "Makefile").read_text()
PROSE = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "config").glob("*.yaml")]
)

_TARGET = re.compile(r"^([a-z][a-z-]*):", re.MULTILINE)
_RIDDLES = re.compile(
    r"(?<![\w-])(somebody|nobody|anybody|whoever|whomever|whom|mended)(?![\w-])|\bmakes? void\b",
    re.IGNORECASE,
)
"""Codes such as ``role-nobody-has`` are names, which stay."""
_TABLE_OF_TEXTS = re.compile(r"^\| key \| text \|$.*", re.DOTALL | re.MULTILINE)
_MAKE = re.compile(r"^make ((?:[a-z][a-z-]*\s*)+)", re.MULTILINE)


def document(path: Path) -> dict[Any, Any]:
    """The YAML in ``path``; the word ``on`` is read as True (YAML 1.1)."""
    made = yaml.safe_load(path.read_text())
    assert isinstance(made, dict)
    return made


def steps(path: Path) -> Iterator[dict[str, Any]]:
    """All steps of all jobs of a workflow."""
    for job in document(path)["jobs"].values():
        yield from job["steps"]


def hooks() -> dict[str, dict[str, Any]]:
    """The hooks of pre-commit, by id."""
    [local] = document(ROOT / ".pre-commit-config.yaml")["repos"]
    assert local["repo"] == "local"
    return {hook["id"]: hook for hook in local["hooks"]}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_call_make_targets_that_exist(path: Path) -> None:
    """What the hosting service runs is what a developer runs."""
    named = [
        target
        for step in steps(path)
        for call in _MAKE.findall(step.get("run", ""))
        for target in call.split()
    ]
    assert named
    assert set() == set(named) - set(_TARGET.findall(MAKEFILE))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_have_a_trigger_limits_and_no_right_to_write(path: Path) -> None:
    """A workflow reads the repository, and ends by itself."""
    workflow = document(path)
    assert workflow[True]
    assert {"contents": "read"} == workflow["permissions"]
    assert [] == [name for name, job in workflow["jobs"].items() if "timeout-minutes" not in job]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_to_a_version(path: Path) -> None:
    """An action does not change under a workflow."""
    used = [step["uses"] for step in steps(path) if "uses" in step]
    assert used
    assert [] == [
        name for name in used if not re.fullmatch(r"actions/[a-z-]+@v\d+\.\d+\.\d+", name)
    ]


def test_hooks_run_the_tools_of_the_environment() -> None:
    """The linters that `make lint` runs, and nothing that is downloaded."""
    recipes = re.findall(r"\$\(BIN\)/((?:ruff|mypy).*)", MAKEFILE)
    entries = [hook["entry"] for hook in hooks().values() if hook["language"] == "system"]
    run = [entry.removeprefix(".venv/bin/").replace(" --force-exclude", "") for entry in entries]
    assert [recipe.removesuffix(" .") for recipe in recipes] == run


@pytest.mark.parametrize(
    ("message", "is_good"),
    [
        pytest.param("pages: show the device of a session\n\nWhy.\n", True, id="with-a-body"),
        pytest.param("proxy/http1: refuse bare line feeds", True, id="a-folder"),
        pytest.param("Show the device of a session", False, id="no-area"),
        pytest.param("pages:", False, id="no-change"),
        pytest.param("pages: " + "x" * 65, True, id="72-characters"),
        pytest.param("pages: " + "x" * 66, False, id="73-characters"),
    ],
)
def test_commit_subjects(message: str, is_good: bool) -> None:
    """``git log --oneline`` can be scanned."""
    hook = hooks()["commit-subject"]
    assert ["--negate", "--multiline"] == hook["args"]
    assert is_good == bool(re.search(hook["entry"], message, re.MULTILINE))


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_issue_templates_have_a_head(path: Path) -> None:
    """The hosting service lists them by it."""
    [_, head, body] = path.read_text().split("---\n", 2)
    assert {"name", "about", "labels"} == set(yaml.safe_load(head))
    assert body.strip()


def test_the_owners_are_left_to_the_owner() -> None:
    """No line names anybody until the repository has an owner."""
    lines = (ROOT / ".github" / "CODEOWNERS").read_text().splitlines()
    assert all(line.startswith("#") for line in lines)


def test_the_editor_config_agrees_with_the_formatter() -> None:
    """Editors wrap where ruff does."""
    config = ConfigParser()
    config.read_string("[root]\n" + (ROOT / ".editorconfig").read_text())
    length = re.search(
        r"^line-length = (\d+)$", (ROOT / "pyproject.toml").read_text(), re.MULTILINE
    )
    assert length
    assert length[1] == config["*.py"]["max_line_length"]
    assert "tab" == config["Makefile"]["indent_style"]


@pytest.mark.parametrize("path", PROSE, ids=lambda path: path.name)
def test_documentation_is_in_plain_words(path: Path) -> None:
    """A client, a user, an attacker: each is named. Texts of the login pages are held elsewhere."""
    text = _TABLE_OF_TEXTS.sub("", path.read_text())
    assert [] == [found[0] for found in _RIDDLES.finditer(text)]


@pytest.mark.parametrize(
    "path", sorted((ROOT / "tests/fakes").rglob("*.py")), ids=lambda at: at.name
)
def test_fakes_depend_on_no_test(path: Path) -> None:
    """Tests take fakes from here, never the other way round."""
    assert not re.search(r"^from tests\.(?!fakes\b)", path.read_text(), re.MULTILINE)
