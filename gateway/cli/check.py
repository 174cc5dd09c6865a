"""``gateway check``: validate a config."""

import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypedDict

import click
from rich.console import Console
from rich.table import Table

from gateway.cli.common import EXIT_CONFIG, EXIT_NO, config_option, json_option, print_json
from gateway.cli.time_limit import run_within
from gateway.config.compile import DASHBOARD
from gateway.config.findings import Finding, InvalidConfig, Severity
from gateway.config.hidden_routes import HiddenRoutes
from gateway.config.load import load_document
from gateway.config.problems import INVALID_VALUE, Problem, dotted
from gateway.config.schema import Settings
from gateway.core.errors import StartError, StoreUnavailable
from gateway.runtime.services.lints import CODES, find_all
from gateway.runtime.services.unmarked import UNMARKED, places_of_first_logins, unmarked_people
from gateway.store.connect import address_of

ASKED_S = 1.0
"""How long the store is asked at most."""
_SHOWN = 4
"""Names of hidden routes that are shown for a route; JSON has all."""


@click.command()
@config_option
@click.option("--strict", is_flag=True, help="Exit with status 1 if there are warnings.")
@click.option(
    "--ignore",
    "ignored",
    metavar="CODE",
    multiple=True,
    type=click.Choice(sorted(CODES)),
    help="Leave out warnings of this code; may be repeated.",
)
@click.option("--offline", is_flag=True, help="Ask no store.")
@json_option
def check(
    path: Path, *, strict: bool, ignored: tuple[str, ...], offline: bool, as_json: bool
) -> None:
    """
    Validate the config and the files that it names, print its routes, and warn about likely
    mistakes.

    Where a webhook hears of first logins, the store is asked, for a second at most, whether people
    who signed in before would count as new. Where it does not answer, a note says so.
    """
    result = _check(path, frozenset(ignored), is_offline=offline)
    is_refused = strict and bool(result.warnings)
    if as_json:
        print_json(result.as_json(is_refused=is_refused))
    else:
        if result.settings is not None and not result.errors:
            _print_routes(result.settings)
            click.echo("store: {address} (from {source})".format_map(result.store or {}))
        for text in result.told():
            click.echo(text, err=True)
    if result.errors:
        sys.exit(EXIT_CONFIG)
    if is_refused:
        if not as_json:
            click.echo(f"{path}: refused by --strict, warnings: {len(result.warnings)}", err=True)
        sys.exit(EXIT_NO)
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
    notes: Sequence[str] = ()
    """What could not be judged, and why."""

    def told(self) -> Iterator[str]:
        """
        Write it for people: the errors with their codes, then the warnings.

        Remedies stand where the message itself does not say what to write.
        """
        errors = (found for found in self.findings if found.severity is Severity.ERROR)
        for text, found in zip(self.errors, errors, strict=True):
            says_it = found.code == INVALID_VALUE or found.message.endswith("?")
            is_told = says_it or found.remedy in text
            yield f"{text}{'' if is_told else f': {found.remedy}'} [{found.code}]"
        yield from self.warnings
        yield from self.notes

    def as_json(self, *, is_refused: bool) -> dict[str, object]:
        """Write it for programs."""
        routes = list(_described(self.settings)) if self.settings is not None else []
        return {
            "ok": not self.errors and not is_refused,
            "problems": self.errors,
            "warnings": self.warnings,
            "notes": self.notes,
            "findings": [found._asdict() for found in self.findings],
            "store": self.store,
            "routes": routes,
        }


def _check(path: Path, ignored: frozenset[str], *, is_offline: bool) -> _CheckResult:
    try:
        config = load_document(path, os.environ)
    except InvalidConfig as error:
        return _CheckResult(None, error.problems, [], list(error.findings))
    settings, lines = config.settings, config.written.lines
    store = {
        "address": address_of(settings.redis.url.get_secret_value()),
        "source": config.store_source,
    }
    is_asked = not is_offline and UNMARKED not in ignored
    in_store, unknown = _ask_store(settings) if is_asked else ([], [])
    found = [
        (problem, kind)
        for problem, kind in find_all(config, time.time(), in_store)
        if kind is Severity.ERROR or problem.code not in ignored
    ]
    name = str(path)
    texts = {
        kind: [p.text(name, lines, kind) for p, of in found if of is kind] for kind in Severity
    }
    return _CheckResult(
        settings,
        texts[Severity.ERROR],
        texts[Severity.WARNING],
        [problem.finding(name, lines, kind) for problem, kind in found],
        store,
        [
            f"{name}:{each.line(lines)}: note: {dotted(each.path)}: {each.message}"
            for each in unknown
        ],
    )


def _ask_store(settings: Settings) -> tuple[list[Problem], list[Problem]]:
    """Return warnings about what the store holds, and notes on what it did not answer."""
    places = places_of_first_logins(settings)
    if not places:
        return [], []
    try:
        return run_within(unmarked_people(settings), ASKED_S), []
    except TimeoutError:
        reason = f"the store did not answer within {ASKED_S:g} s"
    except StoreUnavailable as error:
        reason = f"the store was not reached: {error.reason}"
    except StartError as error:
        reason = str(error)
    text = f"whether people who signed in before are marked is not known: {reason}"
    return [], [Problem(places[0], text, code=UNMARKED)]


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
    dashboard = settings.admin.route if settings.admin is not None else None
    for number, route in enumerate(settings.routes):
        yield {
            "name": route.name,
            "host": route.match.host or "",
            "path": route.match.path,
            "methods": sorted(route.match.methods or ()),
            "auth": route.auth.value,
            "upstream": route.upstream or (DASHBOARD if route.name == dashboard else ""),
            "hides": [other.name for other in hidden.hidden_by(number)],
        }


def _first_few(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
