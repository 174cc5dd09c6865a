"""What commands share: the config option, how they print, and how they end."""

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click
import orjson

from gateway.config.load import load
from gateway.config.schema import Settings
from gateway.core.errors import (
    ConfigError,
    MagicUnavailable,
    NotReached,
    StartError,
    StoreUnavailable,
)
from gateway.core.issuer import CallerName, read_name
from gateway.revocation.name import RevocationRefused, UnknownEmail

EXIT_NO, EXIT_CONFIG, EXIT_NOT_REACHED = 1, 2, 3

DEFAULT_CONFIG = "config/gateway.yaml"

F = TypeVar("F", bound=Callable[..., object])
T = TypeVar("T")


def config_option(command: F) -> F:
    """``--config``, as ``path``."""
    return click.option(
        "--config",
        "path",
        type=click.Path(path_type=Path, dir_okay=False),
        envvar="GATEWAY_CONFIG",
        default=DEFAULT_CONFIG,
        show_default=True,
        help="The config file; also $GATEWAY_CONFIG.",
    )(command)


def json_option(command: F) -> F:
    """``--json``, as ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


class NameParam(click.ParamType[CallerName]):
    """An issuer or an email address, in any spelling; a checksum detects typing errors."""

    name = "name"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> CallerName:
        if isinstance(value, CallerName):
            return value
        try:
            return read_name(str(value))
        except ValueError as error:
            self.fail(f"{value}: {error}", param, ctx)


class ParsedParam(click.ParamType[object]):
    """A parameter that is read by a function of the package."""

    name = "text"

    def __init__(self, parse: Callable[[str], object]) -> None:
        self._parse = parse

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> object:
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def settings_in(path: Path) -> Settings:
    """Load the config; where it cannot be used, the command ends."""
    try:
        return load(path, os.environ)
    except ConfigError as error:
        fail_config(error)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run ``work``; where it fails in an expected way, the command ends with a message."""
    try:
        return asyncio.run(work)
    except StoreUnavailable as error:
        fail(f"the store was not reached: {error.reason}", EXIT_NOT_REACHED)
    except MagicUnavailable as error:
        fail(f"Magic was not reached: {error.reason}", EXIT_NOT_REACHED)
    except UnknownEmail as error:
        fail(str(error), EXIT_NO)
    except RevocationRefused as error:
        fail(str(error), EXIT_CONFIG)
    except NotReached as error:
        fail(str(error), EXIT_NOT_REACHED)
    except StartError as error:
        fail(str(error), EXIT_NO)


def fail_config(error: ConfigError) -> NoReturn:
    """End the command with the problems of the config."""
    for problem in error.problems:
        click.echo(problem, err=True)
    sys.exit(EXIT_CONFIG)


def fail(message: str, status: int) -> NoReturn:
    """End the command with ``message``."""
    click.echo(f"gateway: {message}", err=True)
    sys.exit(status)


def shown(text: str) -> str:
    """Return text of another program for a terminal: control characters are replaced."""
    return "".join(each if each.isprintable() else "\ufffd" for each in text)


def print_json(value: object) -> None:
    """Print JSON."""
    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())
