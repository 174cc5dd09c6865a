"""What commands share: how they read names and configs, how they run, and how they end."""

import asyncio
import getpass
import os
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NoReturn, TypeVar

import click
import orjson

from gateway.cli.terminal import (
    DEFAULT_CONFIG,
    EXIT_CONFIG,
    EXIT_NO,
    EXIT_NOT_REACHED,
    config_option,
    fail,
    json_option,
    shown,
)
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
from gateway.util.rfc3339 import rfc3339

__all__ = [
    "DEFAULT_CONFIG",
    "EXIT_CONFIG",
    "EXIT_NO",
    "EXIT_NOT_REACHED",
    "NameParam",
    "ParsedParam",
    "audit",
    "config_option",
    "fail",
    "fail_config",
    "json_option",
    "print_json",
    "reading",
    "run",
    "settings_in",
    "shown",
]
"""Those of `gateway.cli.terminal` too, which a command that must be quick imports alone."""

T = TypeVar("T")


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


def run(work: Coroutine[Any, Any, T], cannot_start: int = EXIT_NO) -> T:
    """
    Run ``work``; where it fails in an expected way, the command ends with a message.

    ``cannot_start`` is the exit status where a part that the config names cannot be used.
    """
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
        fail(str(error), cannot_start)


def fail_config(error: ConfigError) -> NoReturn:
    """End the command with the problems of the config."""
    for problem in error.problems:
        click.echo(problem, err=True)
    sys.exit(EXIT_CONFIG)


@contextmanager
def reading(file: IO[str]) -> Iterator[None]:
    """End the command where ``file``, which is open, cannot be read."""
    try:
        yield
    except OSError as error:
        fail(f"{file.name}: {error.strerror}", EXIT_CONFIG)


def print_json(value: object) -> None:
    """Print JSON."""
    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


def audit(action: str, **details: object) -> None:
    """Print what an operator has done as one line of JSON, on standard error, to be kept."""
    line = {"time": rfc3339(int(time.time() * 1000)), "level": "info", "logger": "gateway.audit"}
    click.echo(orjson.dumps({**line, "message": action, "by": user_name(), **details}), err=True)


def user_name() -> str:
    """Return the name of the user that runs the command; its number where it has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in a container
        return str(os.getuid())
