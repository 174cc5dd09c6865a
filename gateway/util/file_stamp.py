"""Detection of files that were written or replaced."""

from pathlib import Path

Stamp = tuple[int, int, int, int]
"""Device, inode, size and time of change: they differ when a file was written or replaced."""


def stamp(path: str) -> Stamp:
    """Return the stamp of a file, or of the target of a link. Raises `OSError`."""
    status = Path(path).stat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def stamp_if_there(path: str) -> Stamp | None:
    """Return the stamp of a file; None where there is none, or none that can be read."""
    try:
        return stamp(path)
    except OSError:
        return None
