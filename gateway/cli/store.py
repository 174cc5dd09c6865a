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
from gateway.config.schema import Settings
from gateway.runtime.services.store import examine_store
from gateway.runtime.services.unmarked import look_for_markers, places_of_first_logins
from gateway.store.server_info import Level, StoreFinding


@click.group()
def store() -> None:
    """Examine the store that all gateways share."""


@store.command()
@config_option
@json_option
def check(path: Path, *, as_json: bool) -> None:
    """
    Measure round trip and clock, and check permissions, memory policy, persistence, replication,
    connections and pub/sub; and whether webhooks would take known users for new ones.

    It writes a few keys under `redis.prefix`, and deletes them. Exit status 1: something keeps
    gateways from working.
    """
    address, findings = run(_examine(settings_in(path)))
    is_ok = all(found.level != "problem" for found in findings)
    if as_json:
        described = [found._asdict() for found in findings]
        print_json({"ok": is_ok, "store": address, "findings": described})
    else:
        _print(address, findings)
    if not is_ok:
        sys.exit(EXIT_NO)


async def _examine(settings: Settings) -> tuple[str, list[StoreFinding]]:
    address, findings = await examine_store(settings)
    if places_of_first_logins(settings):
        seen = await look_for_markers(settings)
        text = f"{seen.text}. See `gateway hooks mark`" if seen.are_missing else seen.text
        level: Level = "warning" if seen.are_missing else "ok"
        findings = [*findings, StoreFinding("first logins", level, text)]
    return address, findings


def _print(address: str, findings: list[StoreFinding]) -> None:
    # As `Text`: what a server says, or the brackets of IPv6, is no markup.
    table = Table(title=Text(shown(address)), title_justify="left")
    for column in ("what", "", "found"):
        table.add_column(column, overflow="fold")
    for found in findings:
        table.add_row(found.name, found.level, Text(shown(found.text)))
    Console().print(table)
