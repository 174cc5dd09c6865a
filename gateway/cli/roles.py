"""``gateway roles``: show, grant and revoke roles in the store."""

from collections.abc import Callable
from pathlib import Path

import click

from gateway.authz.roles import (
    MAX_ROLES,
    decode_roles,
    encode_roles,
    key,
)
from gateway.cli.audit_trail import audit_option, record, require_trail
from gateway.cli.common import (
    EXIT_NO,
    NameParam,
    config_option,
    fail,
    json_option,
    print_json,
    run,
    settings_in,
)
from gateway.cli.issuers import issuers_of
from gateway.config.matchers import role
from gateway.config.schema import Settings
from gateway.core.audit import AuditEvent
from gateway.core.errors import StartError
from gateway.core.invalidation import InvalidationKind
from gateway.core.issuer import CallerName
from gateway.core.ports import Script
from gateway.core.replies import is_count
from gateway.runtime.services.store import SharedStore, shared_store

_TRIES = 10
_UNREAD = "identity.roles_from_store is off: no gateway with this config reads them"

_SWAP = Script.packaged("gateway.authz", "roles", is_count)

RoleNames = tuple[str, ...]


class RoleName(click.ParamType[str]):
    """The name of a role."""

    name = "role"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        try:
            return role(str(value))
        except ValueError as error:
            self.fail(f"{value}: {error}", param, ctx)


@click.group()
def roles() -> None:
    """Manage roles in the store, beside those that the config gives (identity.roles)."""


@roles.command()
@click.argument("name", metavar="ISSUER|EMAIL", type=NameParam())
@config_option
@json_option
def show(name: CallerName, path: Path, *, as_json: bool) -> None:
    """
    Show the roles that the store gives an issuer (did:ethr:0x…), or those of an email address.

    Exit status 1: it has none.
    """
    settings = settings_in(path)
    found = run(_change(settings, name, lambda known: known))
    _print_roles(settings, name, found, as_json=as_json)
    if not any(found.values()):
        fail(f"{name.text} has no roles in the store", EXIT_NO)


@roles.command()
@click.argument("name", metavar="ISSUER|EMAIL", type=NameParam())
@click.argument("names", metavar="ROLE…", type=RoleName(), nargs=-1, required=True)
@audit_option
@config_option
@json_option
def grant(name: CallerName, names: RoleNames, path: Path, *, as_json: bool) -> None:
    """Give roles to an issuer, or to all of an email address, at once and at all gateways."""
    settings = settings_in(path)
    require_trail(settings)
    found = run(_change(settings, name, lambda known: (*known, *names)))
    _record(settings, AuditEvent.ROLE_GRANTED, found, names)
    _print_roles(settings, name, found, as_json=as_json)


@roles.command()
@click.argument("name", metavar="ISSUER|EMAIL", type=NameParam())
@click.argument("names", metavar="ROLE…", type=RoleName(), nargs=-1, required=True)
@audit_option
@config_option
@json_option
def revoke(name: CallerName, names: RoleNames, path: Path, *, as_json: bool) -> None:
    """
    Take roles from an issuer, or from all of an email address, at once and at all gateways.

    Roles of the config stay.
    """
    settings = settings_in(path)
    found = run(_change(settings, name, lambda known: tuple(x for x in known if x not in names)))
    _record(settings, AuditEvent.ROLE_REVOKED, found, names)
    _print_roles(settings, name, found, as_json=as_json)


def _record(
    settings: Settings, event: AuditEvent, found: dict[str, RoleNames], names: RoleNames
) -> None:
    """Write the audit lines: what was asked for, and the roles that each issuer has now."""
    asked = {"roles": [*names]}
    record(settings, event, {who: {**asked, "now": [*found[who]]} for who in found})


async def _change(
    settings: Settings, name: CallerName, change: Callable[[RoleNames], RoleNames]
) -> dict[str, RoleNames]:
    """Change the roles of the issuers that ``name`` means; return them by issuer."""
    async with shared_store(settings) as shared:
        issuers = await issuers_of(settings, shared, name)
        return {issuer: await _change_one(shared, issuer, change) for issuer in issuers}


async def _change_one(
    shared: SharedStore, issuer: str, change: Callable[[RoleNames], RoleNames]
) -> RoleNames:
    """Change the roles and return them; a concurrent write of an app is not lost."""
    store, bus = shared
    for _ in range(_TRIES):
        record = await store.get(key(issuer)) or b""
        try:
            known = decode_roles(record)
        except ValueError as error:
            raise StartError(f"{key(issuer)} cannot be read: {error}") from error
        changed = tuple(sorted(set(change(known))))
        if changed == known:
            return known
        if len(changed) > MAX_ROLES:
            raise StartError(f"an issuer has at most {MAX_ROLES} roles")
        written = encode_roles(changed) if changed else b""
        if await store.run(_SWAP, [key(issuer)], [record, written]):
            await bus.publish(InvalidationKind.ROLES, issuer)
            return changed
    raise StartError("another writer changes the roles again and again; try again")


def _print_roles(
    settings: Settings, name: CallerName, found: dict[str, RoleNames], *, as_json: bool
) -> None:
    """Print the roles of an issuer, or of each issuer of an email address."""
    if as_json:
        described = [{"issuer": issuer, "roles": names} for issuer, names in found.items()]
        print_json(described if name.is_email else described[0])
    else:
        for issuer, names in found.items():
            for each in names:
                click.echo(f"{issuer}: {each}" if name.is_email else each)
    if not settings.identity.roles_from_store:
        click.echo(f"gateway: {_UNREAD}", err=True)
