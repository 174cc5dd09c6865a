"""
Files of deny and allow lists: read whole, and again when they change.

A file that cannot be read, or has a line that is no entry, changes nothing: the entries in use
stay, so that no mistake in a file admits the callers that it denies.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from gateway.core.errors import StartError
from gateway.ratelimit.entry import Entry, read_entry
from gateway.ratelimit.matcher import Matcher
from gateway.util.file_stamp import Stamp, stamp_if_there

CHECK_EVERY_S: Final = 1.0
MAX_BYTES: Final = 8 << 20
"""Of a file: 500 000 addresses, which take some 60 MB."""
_SHOWN = 3
"""How many of the lines that are no entries are told."""

_log = logging.getLogger(__name__)


def read_file(path: str) -> list[Entry]:
    """Read the entries in a file. Raises `StartError` that names the file, and lines at fault."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise StartError(f"{path}: {(error.strerror or 'unreadable').lower()}") from error
    if len(content) > MAX_BYTES:
        raise StartError(f"{path}: longer than {MAX_BYTES >> 20} MiB")
    try:
        return parse(content.decode("utf-8-sig"), path)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise StartError(f"{path}:{line}: not UTF-8") from error


def parse(text: str, path: str) -> list[Entry]:
    """
    Parse one entry a line; ``#`` begins a comment at the start of a line, or after a space.

    Raises `StartError`.
    """
    entries, faults = [], []
    for number, line in enumerate(text.split("\n"), 1):
        written = _without_comment(line)
        if not written:
            continue
        try:
            entries.append(read_entry(written))
        except ValueError as error:
            faults.append(f"{path}:{number}: {error}")
    if faults:
        more = [f"and {len(faults) - _SHOWN} more lines"] if len(faults) > _SHOWN else []
        raise StartError("\n".join([*faults[:_SHOWN], *more]))
    return entries


def _without_comment(line: str) -> str:
    """Cut a comment off; an issuer of a JWT has a ``#`` within."""
    start = line.find("#")
    while start > 0 and not line[start - 1].isspace():
        start = line.find("#", start + 1)
    return (line if start < 0 else line[:start]).strip()


class ListFile:
    """A file of entries; ``use`` gets them each time that they were read."""

    def __init__(self, path: str, use: Callable[[Matcher], object]) -> None:
        self._path = path
        self._use = use
        self._stamp: Stamp | None = None
        self._last_error = ""

    def load(self) -> None:
        """Read the file for the first time. Raises `StartError`."""
        self._stamp = stamp_if_there(self._path)
        self._use(Matcher(read_file(self._path)))

    async def reload_if_changed(self) -> None:
        """Read the file again if it has changed, off the loop; log an error that is new."""
        stamp = await asyncio.to_thread(stamp_if_there, self._path)
        if stamp == self._stamp:
            return
        try:
            entries = await asyncio.to_thread(lambda: Matcher(read_file(self._path)))
        except StartError as error:
            # The old stamp stays: a file that is being written is complete a moment later.
            if str(error) != self._last_error:
                self._last_error = str(error)
                _log.error("list not reloaded, the old one stays in use: %s", error)
            return
        self._use(entries)
        self._stamp, self._last_error = stamp, ""
        _log.info("list reloaded: %s", self._path)


async def watch(files: list[ListFile]) -> None:
    """Read those of ``files`` again that change, until cancelled."""
    while True:
        await asyncio.sleep(CHECK_EVERY_S)
        for file in files:
            try:
                await file.reload_if_changed()
            except Exception:  # noqa: BLE001 (the entries in use stay, whatever the error)
                _log.exception("checking a list failed")
