"""``gateway selftest``: replay attacks against a config."""

import asyncio
import logging
import sys
from pathlib import Path
from textwrap import indent

import click

from gateway.cli.common import (
    EXIT_NO,
    EXIT_NOT_REACHED,
    ParsedParam,
    config_option,
    fail,
    json_option,
    print_json,
    settings_in,
    shown,
)
from gateway.config import units
from gateway.core.errors import StartError
from gateway.selftest.run import SelftestReport
from gateway.selftest.run import selftest as run_selftest
from gateway.selftest.trial import SelftestFinding


@click.command()
@config_option
@click.option(
    "--timeout",
    "within_s",
    type=ParsedParam(units.duration_s),
    default="60s",
    show_default=True,
    help="Time for all attacks; those that are left then are named.",
)
@json_option
def selftest(path: Path, within_s: float, *, as_json: bool) -> None:
    """
    Start the config with recorders in place of its apps, and replay attacks against it.

    Nothing real is used: no store, no Magic, no app, no port. Exit status 1: something protected
    was reached, and is shown with its octets. 3: the attacks could not be made, or not all of them.
    """
    settings = settings_in(path)
    logging.disable(logging.WARNING)  # what attacks make the gateway log
    try:
        report = asyncio.run(run_selftest(settings, within_s=within_s))
    except StartError as error:
        fail(str(error), EXIT_NOT_REACHED)
    finally:
        logging.disable(logging.NOTSET)
    if as_json:
        print_json(as_dict(report))
    else:
        click.echo(as_text(str(path), report), nl=False)
    if report.findings:
        sys.exit(EXIT_NO)
    if report.gaps:
        sys.exit(EXIT_NOT_REACHED)


def as_dict(report: SelftestReport) -> dict[str, object]:
    """Write a report for programs."""
    return {
        "ok": not report.findings and not report.gaps,
        "findings": [found._asdict() for found in report.findings],
        "shown": report.shown,
        "notes": list(report.notes),
        "gaps": list(report.gaps),
        "requests": report.requests,
        "took_ms": round(report.took_s * 1000),
    }


def as_text(name: str, report: SelftestReport) -> str:
    """Write a report for people: the verdict first."""
    lines = [f"{name}: {_verdict(report)}"]
    for found in report.findings:
        lines += ["", *_finding(found)]
    if report.findings:
        lines.append("")
    lines += [f"  {family}: {number} requests" for family, number in report.requests.items()]
    lines += [
        f"  route {route}: let its caller in, by {kind}" for route, kind in report.shown.items()
    ]
    lines += [f"  gap: {gap}" for gap in report.gaps]
    lines += [f"  note: {note}" for note in report.notes]
    return "\n".join(lines) + "\n"


def _verdict(report: SelftestReport) -> str:
    """Write what was shown; a selftest with gaps has not shown that nothing was reached."""
    sent = sum(report.requests.values())
    if report.findings:
        return f"{len(report.findings)} found by {sent} requests"
    if report.gaps:
        return f"nothing is shown by {sent} requests: see the gaps"
    return f"nothing protected was reached by {sent} requests"


def _finding(found: SelftestFinding) -> list[str]:
    where = f", route {found.route}" if found.route else ""
    return [
        f"{found.code}{where}: {found.message}",
        f"  remedy: {found.remedy}",
        f"  sent from {found.peer}:",
        _octets(found.sent),
        "  arrived:",
        _octets(found.arrived),
    ]


def _octets(text: str) -> str:
    """Write octets line by line; control characters are escaped."""
    lines = text.rstrip("\r\n").split("\n")
    return indent("\n".join(shown(line.removesuffix("\r")) for line in lines), "    ")
