"""``gateway check``: validate a config."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict

import click
from rich.console import Console
from rich.table import Table

from gateway.cli.common import EXIT_CONFIG, config_option, fail_config, json_option, print_json
from gateway.config.hidden_routes import HiddenRoutes
from gateway.config.lint import lint
from gateway.config.load import load
from gateway.config.schema import Settings
from gateway.core.errors import ConfigError

_SHOWN = 4
"""Names of hidden routes that are shown for a route; JSON has all."""


@click.command()
@config_option
@json_option
def check(path: Path, *, as_json: bool) -> None:
    """Validate the config, print its routes, and warn about likely mistakes."""
    try:
        settings = load(path, os.environ)
    except ConfigError as error:
        if as_json:
            print_json({"ok": False, "problems": error.problems, "warnings": []})
            sys.exit(EXIT_CONFIG)
        fail_config(error)
    findings = lint(settings)
    if as_json:
        warnings = [str(found) for found in findings]
        described = list(_described(settings))
        print_json({"ok": True, "problems": [], "warnings": warnings, "routes": described})
        return
    _print_routes(settings)
    for found in findings:
        click.echo(f"{path}: warning: {found}", err=True)
    click.echo(f"{path}: ok")


def _print_routes(settings: Settings) -> None:
    table = Table()
    for column in ("route", "host", "path", "methods", "auth", "upstream", "hides"):
        table.add_column(column, overflow="fold")  # a path that is cut off could be any
    for route in _described(settings):
        methods = ", ".join(route["methods"]) or "any"
        host = route["host"] or "any"
        hides = _first_few(route["hides"])
        table.add_row(
            route["name"], host, route["path"], methods, route["auth"], route["upstream"], hides
        )
    Console().print(table)


class _RouteDescription(TypedDict):
    """A route in the output."""

    name: str
    host: str
    """Empty for any."""
    path: str
    methods: list[str]
    """Empty for any."""
    auth: str
    upstream: str
    hides: list[str]
    """Names of the routes that match some of the requests that this one takes."""


def _described(settings: Settings) -> Iterator[_RouteDescription]:
    hidden = HiddenRoutes(settings.routes)
    for number, route in enumerate(settings.routes):
        yield {
            "name": route.name,
            "host": route.match.host or "",
            "path": route.match.path,
            "methods": sorted(route.match.methods or ()),
            "auth": route.auth.value,
            "upstream": route.upstream or "",
            "hides": [other.name for other in hidden.hidden_by(number)],
        }


def _first_few(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
