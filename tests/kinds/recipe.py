"""How many files a new kind touches, read from one that is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def files_with(text: str) -> list[str]:
    """The modules of the package in which ``text`` stands as a word of its own."""
    pattern = re.compile(rf"(?<!\w){re.escape(text)}(?!\w)")
    found = [
        path
        for path in sorted((ROOT / "gateway").rglob("*.py"))
        if pattern.search(path.read_text())
    ]
    return [path.relative_to(ROOT).as_posix() for path in found]
