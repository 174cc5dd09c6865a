"""What commands share: the config option, the store, and how they end."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn, TypeVar, cast
from urllib.parse import unquote, urlsplit

import click
import orjson
from redis.exceptions import RedisError

from gateway.config.load import load
from gateway.config.schema import Settings
from gateway.core.errors import (
    ConfigError,
    NotReached,
    StartError,
    StoreUnavailable,
)
from gateway.core.issuer import canonical
from gateway.core.ports import Store
from gateway.store.connect import connect
from gateway.store.embedded import SOCKET_NAME
from gateway.store.redis import RedisStore

EXIT_NO, EXIT_CONFIG, EXIT_NOT_REACHED = 1, 2, 3

_SCANNED_AT_ONCE = 1000

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


class IssuerParam(click.ParamType[str]):
    """An issuer, however it was typed; its checksum tells slips of the pen."""

    name = "issuer"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        try:
            return canonical(str(value))
        except ValueError as error:
            self.fail(f"{value}: {error}", param, ctx)


def settings_in(path: Path) -> Settings:
    """The config; where it cannot be used, the command ends."""
    try:
        return load(path, os.environ)
    except ConfigError as error:
        fail_config(error)


@asynccontextmanager
async def store_of(settings: Settings) -> AsyncIterator[Store]:
    """
    The store that the gateways with this config use; it must be running.

    Raises `StartError` for a store in a gateway's memory, which nobody else can reach.
    """
    store = RedisStore(
        connect(_store_url(settings), settings.redis.timeout_s),
        settings.redis.prefix,
        settings.redis.timeout_s,
    )
    try:
        yield store
    finally:
        await store.aclose()


async def keys_of(settings: Settings, start: str) -> AsyncIterator[str]:
    """
    All keys in the store that begin with ``start``, without the configured prefix.

    Some may come twice. That asks for all there is, piece by piece: for operators, who can wait.
    Raises `StoreUnavailable` or `StartError`.
    """
    timeout_s = settings.redis.timeout_s
    client = connect(_store_url(settings), timeout_s)
    prefix = settings.redis.prefix
    pattern = f"{prefix}{start}*"  # neither may hold what a pattern would read
    cursor, is_over = 0, False
    try:
        while not is_over:
            async with asyncio.timeout(timeout_s):
                cursor, keys = await client.scan(cursor, match=pattern, count=_SCANNED_AT_ONCE)
            for key in cast("list[bytes]", keys):
                with suppress(UnicodeDecodeError):  # somebody else's
                    yield key.decode().removeprefix(prefix)
            is_over = cursor == 0
    except (RedisError, OSError) as error:
        raise StoreUnavailable(type(error).__name__) from error
    finally:
        await client.aclose()


def _store_url(settings: Settings) -> str:
    url = settings.redis.url.get_secret_value()
    if not url.startswith("embedded://"):
        return url
    directory = unquote(urlsplit(url).path)
    if not directory:
        raise StartError("redis.url: an embedded:// store without a directory is the gateway's own")
    return f"unix://{Path(directory) / SOCKET_NAME}"


def run(work: Coroutine[Any, Any, T]) -> T:
    """What ``work`` returns; where it fails as it may, the command ends with a clear word."""
    try:
        return asyncio.run(work)
    except StoreUnavailable as error:
        fail(f"the store was not reached: {error.reason}", EXIT_NOT_REACHED)
    except NotReached as error:
        fail(str(error), EXIT_NOT_REACHED)
    except StartError as error:
        fail(str(error), EXIT_NO)


def fail_config(error: ConfigError) -> NoReturn:
    """End with what is wrong in the config."""
    for problem in error.problems:
        click.echo(problem, err=True)
    sys.exit(EXIT_CONFIG)


def fail(message: str, status: int) -> NoReturn:
    """End with ``message``."""
    click.echo(f"gateway: {message}", err=True)
    sys.exit(status)


def print_json(value: object) -> None:
    """``value`` for programs."""
    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())
