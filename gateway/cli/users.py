"""``gateway users``: show, forget and fetch the stored records of Magic's users."""

import sys
import time
from pathlib import Path
from typing import Any, TextIO

import click
import orjson
from rich.console import Console
from rich.progress import Progress

from gateway.cli.audit_trail import audit_option, record
from gateway.cli.common import (
    EXIT_CONFIG,
    EXIT_NO,
    EXIT_NOT_REACHED,
    NameParam,
    config_option,
    fail,
    json_option,
    print_json,
    run,
    settings_in,
)
from gateway.cli.issuers import issuers_of, read_issuers
from gateway.config.schema import Settings
from gateway.config.units import duration_s
from gateway.core.audit import AuditEvent
from gateway.core.invalidation import InvalidationKind
from gateway.core.issuer import CallerName
from gateway.core.ports import StoredUser
from gateway.runtime.services.identity import (
    record_lifetimes,
    server_keys,
    throwaway_keys,
    user_records,
)
from gateway.runtime.services.magic import is_development, magic_api
from gateway.runtime.services.store import SharedStore, scan_keys, shared_store
from gateway.users.app_record import apps_user, parse
from gateway.users.known import known_key
from gateway.users.metadata import Record
from gateway.users.records import UserRecords, key_of
from gateway.users.warm_up import WarmUp, WarmUpOutcome, WarmUpResult

_MAX_AT_ONCE = 16


@click.group()
def users() -> None:
    """Manage the stored records of Magic's users."""


@users.command()
@click.argument("name", metavar="ISSUER|EMAIL", type=NameParam())
@config_option
@json_option
def show(name: CallerName, path: Path, *, as_json: bool) -> None:
    """
    Show the record of an issuer (did:ethr:0x…), its age, and whether a gateway wrote it.

    That is the record which apps read; without one, what the gateways know for themselves. For an
    email address, show those of all its issuers. Exit status 1: there is no record.
    """
    found = run(_read(settings_in(path), name))
    if not found:
        fail(f"{name.text} has no record that can be read", EXIT_NO)
    if as_json:
        print_json(found if name.is_email else found[0])
        return
    for described in found:
        for member, value in described.items():
            click.echo(f"{member}: {'-' if value is None else orjson.dumps(value).decode()}")


def _described(records: UserRecords, stored: StoredUser, issuer: str) -> dict[str, Any] | None:
    """Describe what apps read of ``issuer``, else what the gateways know; None for neither."""
    told = None if stored.told is None else parse(stored.told, issuer)
    if told is not None and stored.told is not None:
        members = orjson.loads(stored.told)
        members.pop("seal", None)
        if isinstance(members.get("gateway"), dict):
            members["gateway"].pop("seal", None)
        return _aged(members, told.record, is_ours=records.told.is_ours(told))
    known = records.kept_in(stored, issuer)
    return known and _aged(apps_user(known.user), known, is_ours=True)


def _aged(members: dict[str, Any], record: Record, *, is_ours: bool) -> dict[str, Any]:
    age_s = round(time.time() - record.fetched_at_ms / 1000)
    return {**members, "age_s": age_s, "is_sealed_by_us": is_ours}


@users.command()
@click.argument("names", metavar="[ISSUER|EMAIL]...", type=NameParam(), nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="Delete all records.")
@audit_option
@config_option
@json_option
def forget(names: tuple[CallerName, ...], path: Path, *, is_all: bool, as_json: bool) -> None:
    """
    Delete the records of issuers (did:ethr:0x…), in the store and at all gateways.

    An email address means all its issuers. Magic is asked again when they return. A record that an
    app wrote is left. Exit status 1: there was no record.
    """
    if is_all == bool(names):
        raise click.UsageError("name ISSUERS, or --all")
    settings = settings_in(path)
    deleted = run(_forget(settings, names))
    who = {each.text: {"deleted": deleted} for each in names} or {"all": {"deleted": deleted}}
    record(settings, AuditEvent.USER_FORGOTTEN, who)
    if as_json:
        print_json({"forgotten": deleted})
    else:
        click.echo(f"{deleted} forgotten")
    if not deleted:
        fail("there was no such record", EXIT_NO)


@users.command()
@click.argument("file", type=click.File(errors="replace"), default="-")
@click.option(
    "--at-once",
    default=8,
    show_default=True,
    type=click.IntRange(1, _MAX_AT_ONCE),
    help="Concurrent requests to Magic.",
)
@click.option(
    "--patience",
    default="2m",
    show_default=True,
    help="How long to wait while Magic does not answer; its Retry-After is obeyed.",
)
@config_option
@json_option
def warm(file: TextIO, at_once: int, patience: str, path: Path, *, as_json: bool) -> None:
    """
    Fetch the records of all issuers in FILE, or stdin, one a line, from Magic.

    Issuers with a fresh record are skipped. Issuers that Magic does not know are counted, and are
    no failure. Empty lines, and lines that begin with #, are ignored. If any other line is not an
    issuer, no record is fetched (exit status 2).

    Exit status 3: Magic was not reached for some issuers. Run the command again.
    """
    try:
        patience_s = duration_s(patience)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--patience") from error
    issuers = read_issuers(file)
    settings = settings_in(path)
    if is_development(settings) or not settings.session.keys:
        fail("magic.mode, session.keys: records are of live users, and sealed", EXIT_CONFIG)
    warmed = run(_warm(settings, issuers, at_once, patience_s))
    counts = {outcome.value: len(found) for outcome, found in warmed.issuers.items()}
    if as_json:
        names = {
            f"{outcome}_issuers": warmed.issuers[outcome]
            for outcome in (WarmUpOutcome.UNKNOWN, WarmUpOutcome.FAILED)
        }
        print_json({**counts, **names})
    else:
        click.echo(", ".join(f"{count} {outcome}" for outcome, count in counts.items()))
    if warmed.issuers[WarmUpOutcome.FAILED]:
        fail(f"Magic was not reached: {warmed.why}", EXIT_NOT_REACHED)


async def _warm(
    settings: Settings, issuers: tuple[str, ...], at_once: int, patience_s: float
) -> WarmUpResult:
    bars = Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
    with bars:
        bar = bars.add_task("users", total=len(issuers))
        async with shared_store(settings) as (store, bus), magic_api(settings) as api:
            warmer = WarmUp(
                api,
                user_records(store, server_keys(settings)),
                record_lifetimes(settings),
                notify=lambda issuer: bus.publish(InvalidationKind.USER, issuer),
                patience_s=patience_s,
            )
            return await warmer.warm(issuers, at_once, lambda: bars.advance(bar))


async def _read(settings: Settings, name: CallerName) -> list[dict[str, Any]]:
    async with shared_store(settings) as shared:
        records = _records(settings, shared)
        found = []
        for issuer in await issuers_of(settings, shared, name):
            stored = await records.read(issuer)
            if stored.failure is not None:
                raise stored.failure
            found.append(_described(records, stored, issuer))
    return [each for each in found if each is not None]


async def _forget(settings: Settings, names: tuple[CallerName, ...]) -> int:
    deleted = 0
    async with shared_store(settings) as shared:
        records = _records(settings, shared)
        for issuer in await _issuers_to_forget(settings, shared, names):
            deleted += await records.drop(issuer)
            await shared.bus.publish(InvalidationKind.USER, issuer)
    return deleted


async def _issuers_to_forget(
    settings: Settings, shared: SharedStore, names: tuple[CallerName, ...]
) -> set[str]:
    """Return the issuers that ``names`` mean; without any, all that have a record."""
    if not names:
        return {
            key.removeprefix(start)
            for start in (known_key(""), key_of(""))
            async for key in scan_keys(settings, start)
        }
    return {issuer for name in names for issuer in await issuers_of(settings, shared, name)}


def _records(settings: Settings, shared: SharedStore) -> UserRecords:
    return user_records(shared.store, server_keys(settings) or throwaway_keys())
