"""Files that another process appends lines to, and that are read meanwhile."""

from pathlib import Path


def whole_lines(path: Path) -> list[str]:
    """Return the lines so far; one that is being written is left out."""
    whole, _, _ = path.read_bytes().rpartition(b"\n")
    return whole.decode().split("\n") if whole else []
