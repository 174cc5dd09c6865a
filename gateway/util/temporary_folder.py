"""
A temporary folder that goes with its process, also with one that was killed.

A process that is killed removes nothing. So each holds a lock on a file in its folder, which ends
with the process; the next one that makes such a folder removes those whose locks have ended.
"""

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_LOCK: Final = "lock"


@contextmanager
def temporary_folder(prefix: str) -> Iterator[Path]:
    """
    Make a folder that its owner alone may enter, and remove it with all that is in it in the end.

    Folders of this user whose names begin with ``prefix``, and whose processes are gone, are
    removed, too. Raises `OSError` where there is no room.
    """
    folder = Path(tempfile.mkdtemp(prefix=prefix))  # with mode 0700
    try:
        with _locked(folder):
            _sweep(folder.parent, prefix)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of ``folder``. The file gets its name once it is locked: no name, no sweep."""
    unnamed = folder / f"{_LOCK}.new"
    descriptor = os.open(unnamed, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        with suppress(OSError):  # a file system without locks: the folder is never swept
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            unnamed.rename(folder / _LOCK)
        yield
    finally:
        os.close(descriptor)


def _sweep(parent: Path, prefix: str) -> None:
    for folder in parent.glob(f"{prefix}*"):
        with suppress(OSError):
            if _is_left(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _is_left(folder: Path) -> bool:
    """Whether ``folder`` is this user's, and no process holds its lock. Raises `OSError`."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        return False
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True
