"""``gateway limits``: what callers have used of their limits, and what operators say of callers."""

import time
from pathlib import Path
from typing import Any

import click

from gateway.cli.audit_trail import audit_option, record
from gateway.cli.common import (
    EXIT_CONFIG,
    EXIT_NO,
    ParsedParam,
    config_option,
    fail,
    json_option,
    print_json,
    run,
    settings_in,
    shown,
)
from gateway.cli.limit_lists import lists_of
from gateway.config.schema import Settings
from gateway.config.units import count, duration_s
from gateway.core.audit import AuditEvent
from gateway.core.errors import StartError
from gateway.core.invalidation import InvalidationKind
from gateway.core.limit import LimitState
from gateway.core.rate import Rate, rate_text, read_rate
from gateway.ratelimit.counts import StoredCounts
from gateway.ratelimit.entry import Entry, read_entry
from gateway.ratelimit.list_store import MAX_ENTRIES, ListKey, StoredEntry, StoredLists
from gateway.ratelimit.lists import ListKind
from gateway.ratelimit.override import Override, key, read_override, with_override
from gateway.runtime.limit_callers import Counted, find_counted
from gateway.runtime.services.limits import limit_names
from gateway.runtime.services.store import SharedStore, shared_store
from gateway.util.rfc3339 import rfc3339

_LONGEST_S = 3650 * 86_400
"""For how long a rate is kept that is set without an end."""


@click.group()
def limits() -> None:
    """Show and reset what callers have used of limits; refuse, exempt and favour callers."""


@limits.command()
@click.argument("limit")
@click.argument("caller")
@config_option
@json_option
def show(limit: str, caller: str, path: Path, *, as_json: bool) -> None:
    """
    Show what a caller has used of a limit, its own rate, and the lists that it is on.

    CALLER is what the limit counts by: an IP address, or what its `per` says. Nothing is charged.

    Exit status 1: the limit refuses the caller now.
    """
    settings = settings_in(path)
    counted = _find(settings, limit, caller)
    found = run(_show(settings, counted))
    if as_json:
        print_json(found)
    else:
        click.echo("{limit} of {caller}: {used} used, {left} left of {rate}".format_map(found))
        if found["resets_in_s"] is not None:
            click.echo(f"    full again in {found['resets_in_s']} s")
        if found["override"]:
            click.echo(f"    own rate: {found['override']}")
        for kind in found["lists"]:
            click.echo(f"    on the {kind} list")
    if found["refuses"]:
        fail(f"{limit} refuses {caller}", EXIT_NO)


@limits.command()
@click.argument("limit")
@click.argument("caller")
@audit_option
@config_option
@json_option
def reset(limit: str, caller: str, path: Path, *, as_json: bool) -> None:
    """
    Forget what a caller has used of a limit, at all gateways.

    With `concurrent`, requests that are under way count again within half of a lease.

    Exit status 1: nothing was counted.
    """
    settings = settings_in(path)
    counted = _find(settings, limit, caller)
    was_there = run(_reset(settings, counted))
    told: dict[str, Any] = {"limit": limit, "caller": counted.caller, "was_counted": was_there}
    record(settings, AuditEvent.LIMIT_RESET, {counted.caller: told})
    _tell(f"{limit} of {caller}: begins from zero", told, as_json=as_json)
    if not was_there:
        fail(f"{limit} had counted nothing of {caller}", EXIT_NO)


@limits.command("set")
@click.argument("limit")
@click.argument("caller")
@click.argument("rate", required=False, type=ParsedParam(read_rate))
@click.option(
    "--burst", type=ParsedParam(count), help="With token-bucket: how many may come at once."
)
@click.option(
    "--for", "lifetime_s", type=ParsedParam(duration_s), help="How long it holds, such as 7d."
)
@click.option("--remove", is_flag=True, help="Remove the rate: the limit's own holds again.")
@audit_option
@config_option
@json_option
def set_(
    limit: str,
    caller: str,
    rate: Rate | None,
    burst: int | None,
    lifetime_s: float | None,
    path: Path,
    *,
    remove: bool,
    as_json: bool,
) -> None:
    """
    Give a caller a rate of its own, such as 500/minute, at all gateways.

    The window is that of the limit. Exit status 1: with --remove, there was none.
    """
    settings = settings_in(path)
    counted = _find(settings, limit, caller)
    if (rate is None) is not remove or (remove and (burst or lifetime_s)):
        raise click.UsageError("give either a RATE or --remove")
    override = None if rate is None else _fitting(counted, Override(rate, burst))
    was_there = run(_set(settings, counted, override, lifetime_s))
    written = None if override is None else str(override)
    told: dict[str, Any] = {"limit": limit, "caller": counted.caller, "override": written}
    record(settings, AuditEvent.LIMIT_SET, {counted.caller: {**told, "for_s": lifetime_s}})
    _tell(f"{limit} of {caller}: {written or 'the rate of the limit'}", told, as_json=as_json)
    if not counted.limit.has_overrides:
        click.echo(f"gateway: limits.{limit}.overrides is off: no gateway reads it", err=True)
    if remove and not was_there:
        fail(f"{caller} has no rate of its own", EXIT_NO)


@limits.command()
@click.argument("limit")
@click.argument("entry", type=ParsedParam(read_entry))
@click.option("--for", "lifetime_s", type=ParsedParam(duration_s), help="How long, such as 1h.")
@click.option("--remove", is_flag=True, help="Remove the entry from the list.")
@audit_option
@config_option
@json_option
def deny(
    limit: str,
    entry: Entry,
    lifetime_s: float | None,
    path: Path,
    *,
    remove: bool,
    as_json: bool,
) -> None:
    """
    Refuse an address, a network, an issuer or an email address, at all gateways.

    Exit status 1: the list is full; or, with --remove, the entry was not on it.
    """
    _list_change(settings_in(path), limit, ListKind.DENY, entry, lifetime_s, remove, as_json)


@limits.command()
@click.argument("limit")
@click.argument("entry", type=ParsedParam(read_entry))
@click.option("--for", "lifetime_s", type=ParsedParam(duration_s), help="How long, such as 1h.")
@click.option("--remove", is_flag=True, help="Remove the entry from the list.")
@audit_option
@config_option
@json_option
def allow(
    limit: str,
    entry: Entry,
    lifetime_s: float | None,
    path: Path,
    *,
    remove: bool,
    as_json: bool,
) -> None:
    """
    Do not count an address, a network, an issuer or an email address, at all gateways.

    Exit status 1: the list is full; or, with --remove, the entry was not on it.
    """
    _list_change(settings_in(path), limit, ListKind.ALLOW, entry, lifetime_s, remove, as_json)


@limits.command("list")
@click.argument("limit", required=False)
@config_option
@json_option
def list_(limit: str | None, path: Path, *, as_json: bool) -> None:
    """
    List the entries that `deny` and `allow` have added, of a limit or of all.

    Those of the config and its files are not among them. Exit status 1: there are none.
    """
    settings = settings_in(path)
    names = limit_names(settings) if limit is None else (_known(settings, limit),)
    found = run(_entries(settings, names))
    if as_json:
        print_json([_describe(at, entry) for at, entry in found])
    else:
        for at, entry in found:
            until = f"  until {ends}" if (ends := _ends(entry)) else ""
            click.echo(f"{at.limit}  {at.kind}  {shown(entry.text)}{until}")
    if not found:
        fail("no entries were added", EXIT_NO)


# --- what the commands do -------------------------------------------------------------------------


async def _show(settings: Settings, counted: Counted) -> dict[str, Any]:
    limit, caller, _, _ = counted
    async with shared_store(settings) as shared:
        override = await _override(shared, counted)
        own = limit if override is None else with_override(limit, override)
        state = await StoredCounts(shared.store).state(own, caller)
        lists = await lists_of(settings, shared, counted)
    return _described(state, caller, override, lists)


def _described(
    state: LimitState, caller: str, override: Override | None, lists: list[ListKind]
) -> dict[str, Any]:
    limit = state.limit
    at_once = f"{limit.rate} at one time"
    is_used_up = not state.allowed and not limit.is_shadow and ListKind.ALLOW not in lists
    return {
        "limit": limit.name,
        "caller": caller,
        "rate": at_once if limit.is_concurrency else rate_text(Rate(limit.rate, limit.window_s)),
        "burst": limit.burst,
        "override": None if override is None else str(override),
        "used": limit.capacity - state.remaining,
        "left": state.remaining,
        "resets_in_s": None if limit.is_concurrency else round(state.reset_s, 3),
        "retry_after_s": round(state.retry_after_s, 3),
        "lists": lists,
        "refuses": ListKind.DENY in lists or is_used_up,
    }


async def _override(shared: SharedStore, counted: Counted) -> Override | None:
    """Return the rate that gateways use for the caller, if that is not the limit's own."""
    limit, caller, _, _ = counted
    record = await shared.store.get(key(limit.name, caller)) if limit.has_overrides else None
    try:
        override = None if record is None else read_override(record)
        if override is not None:
            with_override(limit, override)
    except ValueError as error:
        click.echo(f"gateway: the override is ignored: {error}", err=True)
        return None
    return override


async def _reset(settings: Settings, counted: Counted) -> bool:
    limit, caller, _, _ = counted
    async with shared_store(settings) as shared:
        was_there = await StoredCounts(shared.store).reset(limit, caller)
        await shared.bus.publish(InvalidationKind.LIMIT, f"{limit.name} {caller}")
    return was_there


async def _set(
    settings: Settings, counted: Counted, override: Override | None, lifetime_s: float | None
) -> bool:
    """Write an override, or delete it; return whether there was one to delete."""
    at = key(counted.limit.name, counted.caller)
    async with shared_store(settings) as shared:
        was_there = False
        if override is None:
            was_there = await shared.store.delete(at)
        else:
            ends_ms = round((time.time() + (lifetime_s or _LONGEST_S)) * 1000)
            await shared.store.set(at, str(override).encode(), expires_at_ms=ends_ms)
        name = f"{counted.limit.name} {counted.caller}"
        await shared.bus.publish(InvalidationKind.LIMIT, name)
    return was_there


def _list_change(
    settings: Settings,
    limit: str,
    kind: ListKind,
    entry: Entry,
    lifetime_s: float | None,
    remove: bool,
    as_json: bool,
) -> None:
    """Add an entry to a list or remove it, and tell all gateways."""
    at = ListKey(_known(settings, limit), kind)
    if remove and lifetime_s is not None:
        raise click.UsageError("--for is for an entry that is added")
    was_there = run(_change(settings, at, entry, lifetime_s, remove=remove))
    told: dict[str, Any] = {"limit": limit, "list": kind, "entry": entry.text}
    told["is_listed"] = not remove
    word = "off" if remove else "on"
    record(settings, AuditEvent.LIMIT_LIST, {entry.text: {**told, "for_s": lifetime_s}})
    _tell(f"{limit}: {entry.text} is {word} the {kind} list", told, as_json=as_json)
    if not was_there:
        fail(f"{entry.text} was not on the list", EXIT_NO)


async def _change(
    settings: Settings, at: ListKey, entry: Entry, lifetime_s: float | None, *, remove: bool
) -> bool:
    async with shared_store(settings) as shared:
        stored = StoredLists(shared.store)
        if remove:
            is_done = await stored.remove(at, entry)
        else:
            is_done = await stored.add(at, entry, lifetime_s)
            if not is_done:
                raise StartError(f"the list is full: it has {MAX_ENTRIES} entries")
        await shared.bus.publish(InvalidationKind.LIMIT_LIST, at.limit)
    return is_done


async def _entries(settings: Settings, names: tuple[str, ...]) -> list[tuple[ListKey, StoredEntry]]:
    async with shared_store(settings) as shared:
        stored = StoredLists(shared.store)
        keys = [ListKey(name, kind) for name in names for kind in ListKind]
        return [(at, entry) for at in keys for entry in await stored.read(at)]


# --- names and words ------------------------------------------------------------------------------


def _known(settings: Settings, limit: str) -> str:
    """Return the name of a limit; the command ends where there is none of this name."""
    names = limit_names(settings)
    if limit not in names:
        fail(f"no such limit; known: {', '.join(names)}", EXIT_CONFIG)
    return limit


def _find(settings: Settings, limit: str, caller: str) -> Counted:
    try:
        return find_counted(settings, _known(settings, limit), caller)
    except ValueError as error:
        fail(str(error), EXIT_CONFIG)


def _fitting(counted: Counted, override: Override) -> Override:
    try:
        with_override(counted.limit, override)
    except ValueError as error:
        fail(str(error), EXIT_CONFIG)
    return override


def _tell(sentence: str, told: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(told)
    else:
        click.echo(sentence)


def _describe(at: ListKey, entry: StoredEntry) -> dict[str, str | None]:
    return {"limit": at.limit, "list": at.kind, "entry": entry.text, "expires_at": _ends(entry)}


def _ends(entry: StoredEntry) -> str | None:
    return None if entry.ends_at_s is None else rfc3339(round(entry.ends_at_s * 1000))
