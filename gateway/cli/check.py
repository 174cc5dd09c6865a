"""``gateway check``: validate a config."""

import os
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from gateway.cli.common import EXIT_CONFIG, config_option, fail_config, json_option, print_json
from gateway.config.lint import lint
from gateway.config.load import load
from gateway.config.schema import Settings
from gateway.core.errors import ConfigError


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
        print_json({"ok": True, "problems": [], "warnings": [str(found) for found in findings]})
        return
    _print_routes(settings)
    for found in findings:
        click.echo(f"{path}: warning: {found}", err=True)
    click.echo(f"{path}: ok")


def _print_routes(settings: Settings) -> None:
    table = Table("route", "host", "path", "methods", "auth", "upstream")
    for route in settings.routes:
        methods = ", ".join(sorted(route.match.methods)) if route.match.methods else "any"
        host = route.match.host or "any"
        table.add_row(
            route.name, host, route.match.path, methods, route.auth.value, route.upstream or ""
        )
    Console().print(table)
