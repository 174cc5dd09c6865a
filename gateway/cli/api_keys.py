"""``gateway api-keys``: create, list and revoke API keys of programs."""

import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.table import Table

from gateway.authn.api_key import key as api_key
from gateway.authn.api_key.key import ApiKey
from gateway.authn.api_key.redis import RedisApiKeys
from gateway.cli.audit_trail import audit_option, record, require_trail
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
)
from gateway.config import names, units
from gateway.config.schema import Settings
from gateway.core.audit import AuditDetail, AuditEvent
from gateway.core.invalidation import InvalidationKind
from gateway.core.issuer import canonical
from gateway.core.limit import Limit
from gateway.core.rate import Rate, rate_text, read_rate
from gateway.revocation.epoch import api_key_subject
from gateway.runtime.services.credentials.api_key import api_key_store
from gateway.runtime.services.identity import revocation_store, server_keys
from gateway.runtime.services.store import shared_store

T = TypeVar("T")
V = TypeVar("V")


@click.group("api-keys")
def api_keys() -> None:
    """Manage API keys: credentials of programs."""


def _owner(text: str) -> str:
    """Return the issuer that ``text`` names, in its canonical spelling. Raises `ValueError`."""
    return canonical(api_key.owner(text))


def _id(text: str) -> str:
    """
    Return the id of a key; ``text`` may be the whole key, such as one that was leaked.

    Raises `ValueError`, which does not repeat ``text``: it may be a secret.
    """
    whole = api_key.parse_key(text.strip())
    if whole is None and not api_key.is_id(text):
        raise ValueError("expected the id of an API key, 16 letters and digits, or a whole key")
    return text if whole is None else whole.id


@api_keys.command()
@click.argument("name", type=ParsedParam(names.name))
@click.option(
    "--owner",
    required=True,
    type=ParsedParam(_owner),
    help="The owner: did:ethr:0x…, or the name of a service.",
)
@click.option(
    "--scope", "scopes", multiple=True, type=ParsedParam(api_key.scope), help="Repeatable."
)
@click.option(
    "--expires",
    "lifetime_s",
    default="90d",
    show_default=True,
    type=ParsedParam(units.duration_s),
    help="How long the key is valid.",
)
@click.option(
    "--rate", type=ParsedParam(read_rate), help="A rate limit of the key, such as 100/minute."
)
@audit_option
@config_option
@json_option
def create(
    name: str,
    owner: str,
    scopes: tuple[str, ...],
    lifetime_s: float,
    rate: Rate | None,
    path: Path,
    *,
    as_json: bool,
) -> None:
    """
    Create a key called NAME, and print it.

    The key is printed only now: the store keeps its hash.
    """
    limit = api_key.limit_of(rate.requests, rate.window_s) if rate else None

    async def make(keys: RedisApiKeys) -> tuple[str, ApiKey]:
        return await keys.create(name, owner, lifetime_s=lifetime_s, scopes=scopes, limit=limit)

    settings = settings_in(path)
    require_trail(settings)
    text, key = _with_keys(settings, make)
    told: dict[str, AuditDetail] = {"name": name, "owner": key.owner, "scopes": [*key.scopes]}
    told["expires_at"] = _rfc3339(key.expires_at_ms)
    record(settings, AuditEvent.API_KEY_CREATED, {f"api-key:{key.id}": told})
    if as_json:
        print_json({"key": text, **_described(key, None)})
    else:
        click.echo(text)
        click.echo(f"id {key.id}, until {_day(key.expires_at_ms)}; shown this once", err=True)


@api_keys.command("list")
@config_option
@json_option
def list_(path: Path, *, as_json: bool) -> None:
    """List all keys, and for a month those that have expired or were revoked."""

    async def look(keys: RedisApiKeys) -> list[tuple[ApiKey, int | None]]:
        return [(key, await keys.used_at_ms(key.id)) for key in await keys.all()]

    found = _with_keys(settings_in(path), look)
    if as_json:
        print_json([_described(*entry) for entry in found])
        return
    table = Table("id", "name", "owner", "scopes", "limit", "until", "last used", "state")
    for key, used_at_ms in found:
        said = _described(key, used_at_ms)
        table.add_row(
            key.id,
            key.name,
            key.owner,
            " ".join(key.scopes),
            said["rate"] or "",
            _day(key.expires_at_ms),
            _day(used_at_ms) if used_at_ms else "never",
            str(said["state"]),
        )
    Console(width=None if sys.stdout.isatty() else 200).print(table)


@api_keys.command()
@click.argument("key_id", metavar="ID", type=ParsedParam(_id))
@config_option
@json_option
def show(key_id: str, path: Path, *, as_json: bool) -> None:
    """Show the key with this ID, without its secret, of which only the hash is kept."""

    async def look(keys: RedisApiKeys) -> tuple[ApiKey | None, int | None]:
        return await keys.get(key_id), await keys.used_at_ms(key_id)

    key, used_at_ms = _with_keys(settings_in(path), look)
    if key is None:
        fail(f"there is no API key {key_id}", EXIT_NO)
    said = _described(key, used_at_ms)
    if as_json:
        print_json(said)
        return
    for name, value in said.items():
        click.echo(f"{name}: {' '.join(value) if isinstance(value, list) else value}")


@api_keys.command()
@click.argument("key_ids", metavar="[ID]...", nargs=-1, type=ParsedParam(_id))
@click.option("--owner", type=ParsedParam(_owner), help="All keys of this person or service.")
@audit_option
@config_option
def revoke(key_ids: tuple[str, ...], owner: str | None, path: Path) -> None:
    """Revoke keys, at once and at all gateways. A revoked key stays revoked."""
    if not key_ids and owner is None:
        raise click.UsageError("expected an ID, or --owner")
    settings = settings_in(path)
    revoked, missing = run(_revoked(settings, key_ids, owner))
    record(settings, AuditEvent.API_KEY_REVOKED, {f"api-key:{key_id}": {} for key_id in revoked})
    for key_id in revoked:
        click.echo(f"revoked {key_id}")
    for key_id in missing:
        click.echo(f"gateway: there is no API key {key_id}", err=True)
    if missing or not revoked:
        sys.exit(EXIT_NO)


async def _revoked(
    settings: Settings, key_ids: tuple[str, ...], owner: str | None
) -> tuple[list[str], list[str]]:
    """Revoke keys; returns which were revoked, and which do not exist."""
    async with shared_store(settings) as shared:
        keys = api_key_store(shared.store, _sealing_keys(settings))
        found = {key_id: await keys.get(key_id) for key_id in key_ids}
        if owner is not None:
            found |= {key.id: key for key in await keys.all() if key.owner == owner}
        for key in found.values():
            if key is not None:
                await keys.revoke(key)
                await shared.bus.publish(InvalidationKind.API_KEY, key.id)
                left_s = max(0.0, key.expires_at_ms / 1000 - time.time())
                tunnels = revocation_store(shared, left_s)
                await tunnels.revoke(api_key_subject(key.id))
    return [n for n, key in found.items() if key], [n for n, key in found.items() if not key]


@api_keys.command()
@audit_option
@config_option
def reseal(path: Path) -> None:
    """Seal all records with the first of session.keys, so that the other keys can be removed."""

    async def work(keys: RedisApiKeys) -> int:
        return sum([await keys.reseal(key.id) for key in await keys.all()])

    settings = settings_in(path)
    count = _with_keys(settings, work)
    record(settings, AuditEvent.API_KEYS_RESEALED, {"api-keys": {"count": count}})
    click.echo(f"sealed anew: {count}")


def _with_keys(settings: Settings, work: Callable[[RedisApiKeys], Awaitable[T]]) -> T:
    async def connected() -> T:
        async with shared_store(settings) as shared:
            return await work(api_key_store(shared.store, _sealing_keys(settings)))

    return run(connected())


def _sealing_keys(settings: Settings) -> tuple[bytes, ...]:
    keys = server_keys(settings)
    if not keys:
        fail(
            "session.keys: API keys are sealed with the first of them, and there is none",
            EXIT_CONFIG,
        )
    return keys


def _described(key: ApiKey, used_at_ms: int | None) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "owner": key.owner,
        "scopes": list(key.scopes),
        "rate": _rate(key.limit),
        "state": key.state(int(time.time() * 1000)),
        "created_at": _rfc3339(key.created_at_ms),
        "expires_at": _rfc3339(key.expires_at_ms),
        "revoked_at": _rfc3339(key.revoked_at_ms),
        "last_used_at": _rfc3339(used_at_ms),
    }


def _rate(limit: Limit | None) -> str | None:
    return rate_text(Rate(limit.rate, limit.window_s)) if limit else None


def _rfc3339(at_ms: int | None) -> str | None:
    if at_ms is None:
        return None
    return datetime.fromtimestamp(at_ms // 1000, tz=UTC).isoformat().replace("+00:00", "Z")


def _day(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, tz=UTC):%Y-%m-%d %H:%M}Z"
