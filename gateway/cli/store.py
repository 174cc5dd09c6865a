"""``gateway store``: examine the store."""

import sys
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.cli.common import (
    EXIT_NO,
    config_option,
    json_option,
    print_json,
    run,
    settings_in,
    shown,
)
from gateway.runtime.services.store import examine_store
from gateway.store.server_info import StoreFinding


@click.group()
def store() -> None:
    """Examine the store that all gateways share."""


@store.command()
@config_option
@json_option
def check(path: Path, *, as_json: bool) -> None:
    """
    Measure round trip and clock, and check permissions, memory policy, persistence, replication,
    connections and pub/sub.

    It writes a few keys under `redis.prefix`, and deletes them. Exit status 1: something keeps
    gateways from working.
    """
    address, findings = run(examine_store(settings_in(path)))
    is_ok = all(found.level != "problem" for found in findings)
    if as_json:
        described = [found._asdict() for found in findings]
        print_json({"ok": is_ok, "store": address, "findings": described})
    else:
        _print(address, findings)
    if not is_ok:
        sys.exit(EXIT_NO)


def _print(address: str, findings: list[StoreFinding]) -> None:
    # As `Text`: what a server says, or the brackets of IPv6, is no markup.
    table = Table(title=Text(shown(address)), title_justify="left")
    for column in ("what", "", "found"):
        table.add_column(column, overflow="fold")
    for found in findings:
        table.add_row(found.name, found.level, Text(shown(found.text)))
    Console().print(table)
