"""
What all commands share: the option for the config, how they print, and how they end.

It imports little: `gateway health` is run every few seconds.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TypeVar

import click

EXIT_NO, EXIT_CONFIG, EXIT_NOT_REACHED = 1, 2, 3

DEFAULT_CONFIG = "config/gateway.yaml"

F = TypeVar("F", bound=Callable[..., object])


def config_option(command: F) -> F:
    """``--config``, as ``path``."""
    return click.option(
        "--config",
        "path",
        type=click.Path(path_type=Path, readable=False),  # what cannot be read is a finding
        envvar="GATEWAY_CONFIG",
        default=DEFAULT_CONFIG,
        show_default=True,
        help="The config file; also $GATEWAY_CONFIG.",
    )(command)


def json_option(command: F) -> F:
    """``--json``, as ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def fail(message: str, status: int) -> NoReturn:
    """End the command with ``message``."""
    click.echo(f"gateway: {message}", err=True)
    sys.exit(status)


def shown(text: str) -> str:
    """Return text of another program for a terminal: control characters are replaced."""
    return "".join(each if each.isprintable() else "\ufffd" for each in text)


def port_option(default: int, where: str = " of 127.0.0.1") -> Callable[[F], F]:
    """``--port``; ``where`` says on which address, if the command chooses it."""
    return click.option(
        "--port",
        default=default,
        show_default=True,
        type=click.IntRange(0, 65535),
        help=f"Port{where} to listen on; 0 takes any free one.",
    )
