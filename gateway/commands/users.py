"""``gateway users``: what the store holds of Magic's users, and to have it forgotten."""

import time
from pathlib import Path

import click
import orjson

from gateway.commands.common import (
    EXIT_NO,
    Issuer,
    config_option,
    fail,
    json_option,
    keys_of,
    print_json,
    run,
    settings_in,
    store_of,
)
from gateway.config.schema import Settings
from gateway.identity.directory import key_of
from gateway.identity.metadata import Seals, Stored, parse
from gateway.invalidation import Subject
from gateway.store.bus import StoreBus


@click.group()
def users() -> None:
    """Users: what Magic said of them."""


@users.command()
@click.argument("issuer", type=Issuer())
@config_option
@json_option
def show(issuer: str, path: Path, *, as_json: bool) -> None:
    """
    Show the record of ISSUER (did:ethr:0x…) that apps read, its age, and whether it is ours.

    Exit status 1: there is none.
    """
    settings = settings_in(path)
    text = run(_read(settings, issuer))
    stored = None if text is None else parse(text, issuer)
    if text is None or stored is None:
        fail(f"{issuer} has no record that can be read", EXIT_NO)
    described = {
        **orjson.loads(text),
        "age_s": round(time.time() - stored.record.fetched_at_ms / 1000),
        "is_sealed_by_us": _is_ours(settings, stored),
    }
    described.pop("seal", None)
    if as_json:
        print_json(described)
        return
    for name, value in described.items():
        click.echo(f"{name}: {'-' if value is None else orjson.dumps(value).decode()}")


@users.command()
@click.argument("issuers", type=Issuer(), nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="All that there are.")
@config_option
@json_option
def forget(issuers: tuple[str, ...], path: Path, *, is_all: bool, as_json: bool) -> None:
    """
    Delete the records of ISSUERS (did:ethr:0x…), here and in all gateways: Magic is asked again.

    Exit status 1: there was none.
    """
    if is_all == bool(issuers):
        raise click.UsageError("name ISSUERS, or --all")
    deleted = run(_forgotten(settings_in(path), issuers))
    if as_json:
        print_json({"forgotten": deleted})
    else:
        click.echo(f"{deleted} forgotten")
    if not deleted:
        fail("there was no such record", EXIT_NO)


async def _read(settings: Settings, issuer: str) -> bytes | None:
    async with store_of(settings) as store:
        return await store.get(key_of(issuer))


async def _forgotten(settings: Settings, issuers: tuple[str, ...]) -> int:
    deleted = 0
    async with store_of(settings) as store:
        bus = StoreBus(store)
        if not issuers:
            start = key_of("")
            issuers = tuple({key[len(start) :] async for key in keys_of(settings, start)})
        for issuer in issuers:
            deleted += await store.delete(key_of(issuer))
            await bus.publish(Subject.USER, issuer)
    return deleted


def _is_ours(settings: Settings, stored: Stored) -> bool:
    keys = [key.get_secret_value().encode() for key in settings.session.keys]
    return Seals(keys).is_ours(stored)
