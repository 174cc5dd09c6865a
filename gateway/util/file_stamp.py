"""How it is told that a file is another one than it was."""

from pathlib import Path

Stamp = tuple[int, int, int, int]
"""Device, inode, size and time of change: what differs when a file was written or replaced."""


def stamp(path: str) -> Stamp:
    """The stamp of a file, or of what a link leads to by now. Raises `OSError`."""
    found = Path(path).stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def stamp_if_there(path: str) -> Stamp | None:
    """The same; None where no file can be seen."""
    try:
        return stamp(path)
    except OSError:
        return None
