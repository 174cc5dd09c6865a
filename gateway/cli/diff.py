"""``gateway diff``: what another config would do otherwise."""

import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import click

from gateway.cli.common import EXIT_NO, json_option, print_json, settings_in
from gateway.config import compile as compiled
from gateway.config.diff import Difference, Kind, cells_of, diff
from gateway.config.diff_effect import Side
from gateway.config.diff_space import Cell, Cells
from gateway.config.schema import Settings
from gateway.core.route import Route
from gateway.pages.routes import page_routes
from gateway.routing.table import RouteTable

_SHOWN = 4
"""Patterns that are shown of a change; JSON has all."""

_config = click.Path(path_type=Path, dir_okay=False)


@click.command("diff")
@click.argument("old", type=_config)
@click.argument("new", type=_config)
@json_option
def diff_command(old: Path, new: Path, *, as_json: bool) -> None:
    """
    Compare two configs by what requests meet: what became public, protected, re-routed or limited
    otherwise. Each change has a request that proves it.

    Exit status 1 if something became public, 2 if one of the configs cannot be used.
    """
    before, after = (_compile(settings_in(path)) for path in (old, new))
    cells = cells_of(before.side, after.side, (*before.routes, *after.routes))
    lines = diff(before.side, after.side, cells)
    is_opened = any(line.kind is Kind.PUBLIC for line in lines)
    if as_json:
        print_json({"became_public": is_opened, "changes": [_as_json(line) for line in lines]})
    else:
        for line in lines:
            click.echo("\n".join(_as_text(line, cells)))
        click.echo(_summary(lines))
    if is_opened:
        sys.exit(EXIT_NO)


class _Compiled(NamedTuple):
    """A config, and all its routes."""

    side: Side
    routes: tuple[Route, ...]


def _compile(settings: Settings) -> _Compiled:
    routes, pages = compiled.routes(settings), page_routes(settings.server.prefix, ())
    return _Compiled(Side(settings, RouteTable(routes, own_pages=pages)), (*routes, *pages))


def _as_text(line: Difference, cells: Cells) -> Iterator[str]:
    yield f"{line.kind}: {line.request}"
    yield f"  was: {line.old}"
    yield f"  now: {line.new}"
    places = list(_places(line.cells, cells))
    more = len(places) - _SHOWN
    yield f"  for: {'; '.join(places[:_SHOWN])}" + (f"; and {more} more" if more > 0 else "")


def _places(found: Sequence[Cell], cells: Cells) -> Iterator[str]:
    """Write the cells of one host and path as one pattern, with its methods unless it has all."""
    paths = {(cell.host, cell.path) for cell in found}
    any_host = "any other host" if cells.has_hosts else "any host"
    for (host, path), same in groupby(found, key=lambda cell: (cell.host, cell.path)):
        methods = [cell.method for cell in same]
        if path != "/" and path.endswith("/") and (host, path.removesuffix("/")) in paths:
            continue  # /x covers /x/
        named = "" if cells.known_methods <= set(methods) else f" ({', '.join(methods)})"
        yield f"{path or 'other paths'} on {host or any_host}{named}"


def _as_json(line: Difference) -> dict[str, object]:
    method, url, *client = line.request.split(" ")
    return {
        "kind": line.kind,
        "method": method,
        "url": url,
        "client": client[1] if client else None,
        "old": line.old,
        "new": line.new,
        "requests": [
            {"host": cell.host, "path": cell.path, "method": cell.method} for cell in line.cells
        ],
    }


def _summary(lines: list[Difference]) -> str:
    if not lines:
        return "no request meets a change"
    counts = [(kind, sum(line.kind is kind for line in lines)) for kind in Kind]
    return ", ".join(f"{number} {kind}" for kind, number in counts if number)
