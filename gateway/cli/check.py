"""``gateway check``: validate a config."""

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, TypedDict

import click
from rich.console import Console
from rich.table import Table

from gateway.cli.common import EXIT_CONFIG, config_option, json_option, print_json
from gateway.config.findings import Finding, InvalidConfig, Severity
from gateway.config.hidden_routes import HiddenRoutes
from gateway.config.lint import lint
from gateway.config.lint_written import lint_written
from gateway.config.load import load_document
from gateway.config.schema import Settings
from gateway.runtime.services.files import unreadable_key_sets, unusable_files
from gateway.store.connect import address_of

_SHOWN = 4
"""Names of hidden routes that are shown for a route; JSON has all."""


@click.command()
@config_option
@json_option
def check(path: Path, *, as_json: bool) -> None:
    """
    Validate the config and the files that it names, print its routes, and warn about likely
    mistakes.
    """
    result = _check(path)
    if as_json:
        print_json(result.as_json())
    else:
        if result.settings is not None and not result.errors:
            _print_routes(result.settings)
            click.echo("store: {address} (from {source})".format_map(result.store or {}))
        for text in (*result.errors, *result.warnings):
            click.echo(text, err=True)
    if result.errors:
        sys.exit(EXIT_CONFIG)
    if not as_json:
        click.echo(f"{path}: ok")


class _CheckResult(NamedTuple):
    """What was found, as text and as findings, in the order of the file."""

    settings: Settings | None
    """None where the file cannot be used at all."""
    errors: list[str]
    warnings: list[str]
    findings: list[Finding]
    store: Mapping[str, str] | None = None
    """The address of the store without credentials, and where it is named."""

    def as_json(self) -> dict[str, object]:
        """Write it for programs."""
        routes = list(_described(self.settings)) if self.settings is not None else []
        return {
            "ok": not self.errors,
            "problems": self.errors,
            "warnings": self.warnings,
            "findings": [found._asdict() for found in self.findings],
            "store": self.store,
            "routes": routes,
        }


def _check(path: Path) -> _CheckResult:
    try:
        settings, written, store_source = load_document(path, os.environ)
    except InvalidConfig as error:
        return _CheckResult(None, error.problems, [], list(error.findings))
    store = {"address": address_of(settings.redis.url.get_secret_value()), "source": store_source}
    warnings = [*lint(settings), *lint_written(written), *unreadable_key_sets(settings)]
    found = [
        *((problem, Severity.ERROR) for problem in unusable_files(settings)),
        *((problem, Severity.WARNING) for problem in warnings),
    ]
    name, lines = str(path), written.lines
    found.sort(key=lambda entry: entry[0].line(lines))
    texts = {
        kind: [p.text(name, lines, kind) for p, of in found if of is kind] for kind in Severity
    }
    return _CheckResult(
        settings,
        texts[Severity.ERROR],
        texts[Severity.WARNING],
        [problem.finding(name, lines, kind) for problem, kind in found],
        store,
    )


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
