"""Code in pieces that can be read at one sitting."""

import ast
from pathlib import Path
from statistics import median

import pytest

import gateway

ROOT = Path(gateway.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

MAX_FUNCTION_LINES = 60
MAX_MEDIAN_LINES = 10
MAX_FILE_LINES = 400


def functions() -> dict[str, int]:
    """The lines of every function, from ``def`` to its end."""
    return {
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}": node.end_lineno - node.lineno + 1
        for path in FILES
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno
    }


def test_no_function_is_longer_than_a_screen() -> None:
    """The longest decision still fits on one."""
    long = {name: length for name, length in functions().items() if length > MAX_FUNCTION_LINES}
    assert {} == long


def test_most_functions_are_short() -> None:
    """Half of them take less than ten lines, docstring included."""
    assert median(functions().values()) < MAX_MEDIAN_LINES


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_is_longer_than_a_chapter(path: Path) -> None:
    """One subject in a file."""
    assert len(path.read_text().splitlines()) <= MAX_FILE_LINES
