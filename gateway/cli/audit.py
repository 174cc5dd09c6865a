"""``gateway audit``: check audit files."""

import asyncio
import os
import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import click

from gateway.audit.chain import Head, read_line
from gateway.audit.heads import HEAD_KEY, Heads
from gateway.audit.verify import AuditFinding, Verifier
from gateway.cli.common import (
    EXIT_CONFIG,
    EXIT_NO,
    EXIT_NOT_REACHED,
    config_option,
    fail,
    json_option,
    print_json,
    settings_in,
    shown,
)
from gateway.config.schema import Settings
from gateway.core.errors import StartError, StoreUnavailable
from gateway.runtime.services.audit import keys_of
from gateway.runtime.services.store import scan_keys, shared_store

_MAX_LINE_BYTES: Final = 1 << 20
"""Of a longer line the beginning is read, which does not verify."""


@click.group()
def audit() -> None:
    """Check audit files."""


@audit.command()
@click.argument("files", metavar="[FILE]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--complete", is_flag=True, help="The files hold all lines that were ever written.")
@click.option("--no-store", is_flag=True, help="Do not compare the ends with what Redis knows.")
@config_option
@json_option
def verify(
    files: tuple[Path, ...], path: Path, *, complete: bool, no_store: bool, as_json: bool
) -> None:
    """
    Check that no line of the audit files was changed, removed, reordered or cut off.

    Without FILES, check audit.file of the config. Give rotated files too: a chain may begin in one
    of them. The heads of all chains are read from Redis first.

    Exit status 1: lines are not as they were written. 3: Redis was not reached; the lines are as
    they were written, but their ends may have been cut off.
    """
    settings = settings_in(path)
    if settings.audit is None:
        fail("audit: the config has no such section, and so no key", EXIT_CONFIG)
    now_ms = int(time.time() * 1000)
    heads, problem = (None, "") if no_store else asyncio.run(_heads(settings))
    host = socket.gethostname()
    verifier = Verifier(keys_of(settings.audit), heads, now_ms, host=host, is_complete=complete)
    _feed(verifier, _in_order(files or (Path(settings.audit.file),)))
    found = verifier.finish()
    if as_json:
        print_json(_described(verifier, found, problem))
    else:
        _show(verifier, found)
    faults = sum(each.is_fault for each in found) + verifier.more
    if faults:
        fail(_number(faults, "fault"), EXIT_NO)
    if problem:
        fail(f"the store was not reached: {problem}", EXIT_NOT_REACHED)


async def _heads(settings: Settings) -> tuple[dict[str, Head] | None, str]:
    """Read all heads; without an answer, return why there is none."""
    try:
        async with shared_store(settings) as shared:
            return await Heads(shared.store).read(scan_keys(settings, HEAD_KEY)), ""
    except (StoreUnavailable, StartError) as error:
        return None, str(error) or type(error).__name__


def _in_order(files: Sequence[Path]) -> list[Path]:
    """Sort files by the time of the first line that can be read; one named twice is there once."""
    each_once: dict[str, Path] = {}
    for path in files:
        each_once.setdefault(os.path.realpath(path), path)
    return sorted(each_once.values(), key=_first_ms)


def _first_ms(path: Path) -> float:
    for raw in _lines(path):
        line = read_line(raw.removesuffix(b"\n"))
        if line is not None:
            return line.time_ms
    return float("inf")


def _lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file; the command ends where it cannot be read."""
    try:
        with path.open("rb") as file:
            while line := file.readline(_MAX_LINE_BYTES):
                part = line
                while len(part) == _MAX_LINE_BYTES and not part.endswith(b"\n"):
                    part = file.readline(_MAX_LINE_BYTES)
                yield line if part is line or not part.endswith(b"\n") else line + b"\n"
    except OSError as error:
        fail(f"{path}: {error.strerror}", EXIT_CONFIG)


def _feed(verifier: Verifier, files: Sequence[Path]) -> None:
    for path in files:
        verifier.feed(str(path.absolute()), _lines(path))


def _show(verifier: Verifier, found: Sequence[AuditFinding]) -> None:
    for each in found:
        place = f"{each.file}:{each.line}" if each.line else each.file
        writer = f" ({each.writer})" if each.writer else ""
        click.echo(shown(f"{place}: {each.code}: {each.text}{writer}"))
    if verifier.more:
        click.echo(f"and {verifier.more} more")
    lines, writers = sum(verifier.lines.values()), len(verifier.chains)
    in_files = _number(len(verifier.lines), "file")
    click.echo(f"{_number(lines, 'line')} of {_number(writers, 'writer')} in {in_files}")
    if not verifier.more and not any(each.is_fault for each in found):
        known = "and none is missing" if verifier.knows_ends else "but ends may have been cut off"
        click.echo(f"every line is as it was written, {known}")


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _described(verifier: Verifier, found: Sequence[AuditFinding], problem: str) -> dict[str, Any]:
    return {
        "ok": not (problem or verifier.more or any(each.is_fault for each in found)),
        "store": problem or None,
        "files": [{"file": file, "lines": count} for file, count in verifier.lines.items()],
        "writers": [
            {"writer": each.writer, "first": each.first, "last": each.last}
            for each in verifier.chains.values()
        ],
        "findings": [
            {
                "code": each.code,
                "is_fault": each.is_fault,
                "file": each.file,
                "line": each.line,
                "writer": each.writer or None,
                "text": each.text,
            }
            for each in found
        ],
        "more": verifier.more,
    }
