"""
The commands.

Exit status: 0 yes, 1 the answer is no or the gateway cannot run here, 2 wrong usage or config, 3 a
needed server was not reached.
"""

import asyncio
import gc
import os
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from gateway import __version__
from gateway.cli.api_keys import api_keys
from gateway.cli.common import (
    EXIT_CONFIG,
    EXIT_NO,
    EXIT_NOT_REACHED,
    config_option,
    fail,
    fail_config,
    json_option,
    print_json,
)
from gateway.cli.keys import keys
from gateway.cli.roles import roles
from gateway.cli.sessions import sessions
from gateway.cli.token import token
from gateway.cli.users import users
from gateway.config.lint import lint
from gateway.config.load import load
from gateway.config.reference import schema as json_schema
from gateway.config.schema import Settings
from gateway.config.source import ConfigFile
from gateway.core.errors import ConfigError, NotReached, StartError
from gateway.demo.run import demo as run_demo
from gateway.runtime import serve
from gateway.runtime.fd_limit import raise_fd_limit
from gateway.runtime.supervisor import supervise, workers_of
from gateway.telemetry import logs


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gateway")
def main() -> None:
    """Let in only people whom Magic Link has proven."""


main.add_command(sessions)
main.add_command(users)
main.add_command(keys)
main.add_command(roles)
main.add_command(api_keys)
main.add_command(token)


@main.command()
@config_option
def run(path: Path) -> None:
    """Serve until SIGTERM or SIGINT; read the config again at SIGHUP and when it changes."""
    gc.freeze()  # what was imported is no garbage: with 10 000 routes, 0.2 s less to look through
    file = ConfigFile(path, os.environ)
    try:
        settings, config = file.load()
    except ConfigError as error:
        fail_config(error)
    logs.set_up()
    raise_fd_limit(settings)
    try:
        if workers_of(settings) > 1:
            asyncio.run(supervise(settings, config, file))
        else:
            serve.run(serve.serve(settings, serve.announce, file))
    except StartError as error:
        fail(str(error), EXIT_NOT_REACHED if isinstance(error, NotReached) else EXIT_NO)


@main.command()
@click.option("--port", default=8080, show_default=True, help="Taken if it is free.")
def demo(port: int) -> None:
    """Serve a sample app in development mode, and print what to try."""
    logs.set_up()
    try:
        serve.run(run_demo(port))
    except StartError as error:
        fail(str(error), EXIT_NO)


@main.command()
@config_option
@json_option
def check(path: Path, *, as_json: bool) -> None:
    """Say whether the config can be used, and what in it is probably not meant."""
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
    _show_routes(settings)
    for found in findings:
        click.echo(f"{path}: warning: {found}", err=True)
    click.echo(f"{path}: ok")


@main.command()
def schema() -> None:
    """Print the config's JSON Schema, for editors and CI."""
    print_json(json_schema())


def _show_routes(settings: Settings) -> None:
    table = Table("route", "host", "path", "methods", "auth", "upstream")
    for route in settings.routes:
        methods = ", ".join(sorted(route.match.methods)) if route.match.methods else "any"
        host = route.match.host or "any"
        table.add_row(
            route.name, host, route.match.path, methods, route.auth.value, route.upstream or ""
        )
    Console().print(table)
