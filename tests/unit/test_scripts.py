"""The scripts that browsers run: what they share is used, and written once."""

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "gateway"
FOLDERS = [ROOT / "admin/static", ROOT / "pages/static"]
SCRIPTS = [path for folder in FOLDERS for path in sorted(folder.glob("*.js"))]
_IMPORT = re.compile(r"^import \{([^}]*)\} from \"\./([\w.-]+)\";$", re.MULTILINE)
_EXPORT = re.compile(
    r"^export (?:async )?(?:function|const|let|class) (?:\{ *(\w+) *\}|(\w+))", re.MULTILINE
)
_FUNCTION = re.compile(r"^(?:export )?(?:async )?function \w+\(.*?^\}", re.MULTILINE | re.DOTALL)


def _imports(path: Path) -> list[tuple[str, str]]:
    """The files and names that a script imports."""
    return [
        (file, name.split(" as ")[0].strip())
        for names, file in _IMPORT.findall(path.read_text())
        for name in names.split(",")
        if name.strip()
    ]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: f"{path.parent.parent.name}-{path.name}")
def test_what_is_imported_is_used(path: Path) -> None:
    """Beside the import itself."""
    words = Counter(re.findall(r"\w+", path.read_text()))
    assert [] == [name for _, name in _imports(path) if words[name] == 1]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: f"{path.parent.parent.name}-{path.name}")
def test_what_is_exported_is_imported(path: Path) -> None:
    """By another script of the same folder; the rest is a script's own."""
    taken = {pair for each in path.parent.glob("*.js") for pair in _imports(each)}
    exported = [one or other for one, other in _EXPORT.findall(path.read_text())]
    assert [] == [name for name in exported if (path.name, name) not in taken]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.parent.name)
def test_no_function_is_written_twice(folder: Path) -> None:
    """In the scripts of one site."""
    bodies = Counter(
        re.sub(r"^export |\s+", "", body)
        for path in folder.glob("*.js")
        for body in _FUNCTION.findall(path.read_text())
    )
    assert [] == [body for body, times in bodies.items() if times > 1]
