"""``gateway sessions``: list and revoke sessions."""

from pathlib import Path
from typing import Any

import click

from gateway.cli.audit_trail import audit_option, record
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
from gateway.cli.issuers import find_issuers, issuers_of, warn_if_incomplete
from gateway.cli.signed_in import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    EmailFilter,
    SignedIn,
    owner_of,
    signed_in,
)
from gateway.config import compile as compiled
from gateway.config.schema import Settings
from gateway.core.audit import AuditEvent
from gateway.core.email import canonical_email
from gateway.core.errors import MagicUnavailable
from gateway.core.event import EventType
from gateway.core.event_ports import ToldChanges
from gateway.core.identity import SessionSummary
from gateway.core.issuer import CallerName, is_user
from gateway.revocation.notice import end_notice
from gateway.revocation.revoke import Revocation, Revoked, Revoker
from gateway.runtime.services.hooks import telling
from gateway.runtime.services.identity import (
    revocation_store,
    server_keys,
    session_store,
    throwaway_keys,
)
from gateway.runtime.services.magic import logs_out_at_magic, magic_api
from gateway.runtime.services.store import SharedStore, scan_keys, shared_store
from gateway.sessions.redis import RedisSessions
from gateway.sessions.seal import SESSION, public_id
from gateway.util.rfc3339 import rfc3339, rfc3339_if_known


class EmailParam(click.ParamType[EmailFilter]):
    """An email address, or ``@`` and a domain for all addresses there."""

    name = "email"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> EmailFilter:
        text = str(value).strip()
        is_domain = text.startswith("@")
        try:
            email = canonical_email(f"x{text}" if is_domain else text)
        except ValueError as error:
            self.fail(f"{value}: {error}, or @ and a domain", param, ctx)
        return EmailFilter(email[1:] if is_domain else email, is_domain=is_domain)


@click.group()
def sessions() -> None:
    """List and revoke sessions."""


@sessions.command("list")
@click.argument("name", metavar="[ISSUER|EMAIL]", type=NameParam(), required=False)
@click.option(
    "--email",
    "wanted",
    type=EmailParam(),
    help="Without a name: only users with this address, or with one at @example.com.",
)
@click.option(
    "--limit",
    default=DEFAULT_LIMIT,
    show_default=True,
    type=click.IntRange(1, MAX_LIMIT),
    help="Without a name: how many users to list.",
)
@config_option
@json_option
def list_(
    name: CallerName | None, wanted: EmailFilter | None, limit: int, path: Path, *, as_json: bool
) -> None:
    """
    List the sessions of an issuer (did:ethr:0x…) or an email address, the newest first.

    Without either, list the users that are signed in. That reads all keys in Redis.

    Exit status 1: there are none.
    """
    if name is None:
        _list_users(settings_in(path), wanted, limit, as_json=as_json)
        return
    if wanted is not None:
        raise click.UsageError("--email is for the list of users: name none")
    found = run(_list(settings_in(path), name))
    listed = [(issuer, session) for issuer, those in found.items() for session in those]
    if as_json:
        print_json([{**_describe(session), "issuer": issuer} for issuer, session in listed])
    else:
        for issuer, session in listed:
            _show(session, issuer if name.is_email else "")
    if not listed:
        fail(f"{name.text} has no sessions", EXIT_NO)


def _list_users(
    settings: Settings, wanted: EmailFilter | None, limit: int, *, as_json: bool
) -> None:
    users, has_more = run(_signed_in(settings, wanted, limit))
    if as_json:
        print_json({"users": [_describe_user(user) for user in users], "has_more": has_more})
    else:
        for user in users:
            told = {key: value or "?" for key, value in _describe_user(user).items()}
            click.echo(f"{user.issuer}  {told['email']}")
            click.echo(
                f"    {user.sessions} sessions, latest sign-in {told['signed_in_at']}, last seen"
                f" {told['last_seen_at']}, until {told['expires_at']}"
            )
    if has_more:
        click.echo(f"gateway: there are more than {limit}: see --limit and --email", err=True)
    if not users:
        fail("no such user is signed in", EXIT_NO)


@sessions.command()
@click.argument("name", metavar="[ISSUER|EMAIL]", required=False)
@click.option("--id", "session_id", help="Id of one session, as `list`, apps and pages show it.")
@audit_option
@config_option
@json_option
def revoke(name: str | None, session_id: str | None, path: Path, *, as_json: bool) -> None:
    """
    Revoke an issuer (did:ethr:0x…): its sessions, tokens and tunnels, at all gateways.

    An email address means all its issuers. Certificates are revoked by cert:NAME. With --id, end
    one session alone; the name may be left out then.

    Exit status 1: with --id, there is no such session; or no user has the email address.
    """
    if name is None and session_id is None:
        raise click.UsageError("name an ISSUER, or a session with --id")
    settings = settings_in(path)
    if session_id is not None:
        _end_one(settings, name, session_id, as_json=as_json)
        return
    revocation, told = run(_revoke(settings, str(name)))
    ended = {done.issuer: {"sessions_ended": done.sessions} for done in revocation.revoked}
    record(settings, AuditEvent.ISSUER_REVOKED, ended)
    if as_json:
        described = [_describe_revoked(done, told) for done in revocation.revoked]
        print_json(
            described[0]
            if revocation.email is None
            else {
                "email": revocation.email,
                "revoked": described,
                "is_complete": revocation.is_complete,
            }
        )
        return
    for done in revocation.revoked:
        click.echo(f"{done.issuer}: {done.sessions} sessions ended")
        if told.get(done.issuer) is False:
            click.echo("gateway: Magic was not reached: its own sessions may continue", err=True)
    warn_if_incomplete(is_complete=revocation.is_complete)


def _describe_revoked(done: Revoked, told: dict[str, bool]) -> dict[str, Any]:
    return {
        "issuer": done.issuer,
        "revoked_at": rfc3339(done.epoch_ms),
        "sessions_ended": done.sessions,
        "magic_signed_out": told.get(done.issuer),
    }


def _end_one(settings: Settings, name: str | None, session_id: str, *, as_json: bool) -> None:
    issuer = None if name is None else NameParam().convert(name, None, None)
    ended = run(_end(settings, issuer, session_id))
    if ended:
        owner = "" if issuer is None else issuer.text
        record(settings, AuditEvent.SESSION_REVOKED, {owner: {"session": session_id}})
    if as_json:
        print_json({"issuer": issuer and issuer.text, "sessions_ended": ended})
    elif ended:
        click.echo(f"{ended} session ended")
    if not ended:
        fail("there is no such session", EXIT_NO)


async def _list(settings: Settings, name: CallerName) -> dict[str, list[SessionSummary]]:
    async with shared_store(settings) as shared:
        of_all = _sessions(settings, shared)
        issuers = await issuers_of(settings, shared, name)
        return {issuer: await of_all.list_for(issuer) for issuer in issuers}


async def _signed_in(
    settings: Settings, wanted: EmailFilter | None, limit: int
) -> tuple[list[SignedIn], bool]:
    async with shared_store(settings) as shared:
        return await signed_in(settings, shared, _sessions(settings, shared), wanted, limit)


async def _revoke(settings: Settings, text: str) -> tuple[Revocation, dict[str, bool]]:
    """Revoke what ``text`` names; return the result, and which issuers Magic was told of."""
    async with (
        shared_store(settings) as shared,
        telling(settings, shared) as changes,
    ):
        lifetime_s = settings.identity.max_token_lifetime_s
        revoker = Revoker(
            revocation_store(shared, lifetime_s, changes=changes),
            _sessions(settings, shared),
            lambda _issuer: None,
            compiled.accepted_names(settings),
            lambda email: find_issuers(settings, shared, email),
            changes,
        )
        revocation = await revoker.revoke(text)
    if not logs_out_at_magic(settings):
        return revocation, {}
    return revocation, await _log_out(settings, [each.issuer for each in revocation.revoked])


async def _log_out(settings: Settings, issuers: list[str]) -> dict[str, bool]:
    """End the sessions at Magic of its users; return whether it was told, by issuer."""
    told = {}
    async with magic_api(settings) as api:
        for issuer in filter(is_user, issuers):
            try:
                await api.log_out(issuer)
                told[issuer] = True
            except MagicUnavailable:
                told[issuer] = False
    return told


async def _end(settings: Settings, name: CallerName | None, session_id: str) -> int:
    async with (
        shared_store(settings) as shared,
        telling(settings, shared) as changes,
    ):
        of_all = _sessions(settings, shared, changes)
        owners: dict[str, str | None] = {}
        if name is None:
            owners = {key: None async for key in scan_keys(settings, SESSION)}
        else:
            for issuer in await issuers_of(settings, shared, name):
                listed = await of_all.list_for(issuer)
                owners |= dict.fromkeys((found.session_key for found in listed), issuer)
        chosen = [key for key in owners if public_id(key) == session_id]
        for key in chosen:
            owner = owners[key]
            if owner is None and changes.wants(EventType.SESSION_REVOKED):
                owner = await owner_of(settings, shared.store, key)
            notices = [] if owner is None else [end_notice(owner, "revoked", session_id)]
            await of_all.end(key, owner, notices)
        return len(chosen)


def _sessions(
    settings: Settings, shared: SharedStore, changes: ToldChanges | None = None
) -> RedisSessions:
    """Build the sessions; without a key in the config (development mode) no sealed entry opens."""
    keys = server_keys(settings) or throwaway_keys()
    return session_store(settings, shared, keys, changes=changes)


def _describe(session: SessionSummary) -> dict[str, str | None]:
    return {
        "id": session.id,
        "device": session.browser.device or None,
        "ip": session.browser.address or None,
        "created_at": rfc3339_if_known(session.created_at_ms),
        "last_seen_at": rfc3339_if_known(session.seen_at_ms),
        "expires_at": rfc3339(session.expires_at_ms),
    }


def _describe_user(user: SignedIn) -> dict[str, Any]:
    return {
        "issuer": user.issuer,
        "email": user.email,
        "sessions": user.sessions,
        "signed_in_at": rfc3339_if_known(user.signed_in_at_ms),
        "last_seen_at": rfc3339_if_known(user.seen_at_ms),
        "expires_at": rfc3339(user.expires_at_ms),
    }


def _show(session: SessionSummary, issuer: str) -> None:
    """Print a session in lines that fit a narrow terminal; of ``issuer``, where it is given."""
    told = {name: value or "?" for name, value in _describe(session).items()}
    click.echo(f"{told['id']}  {told['device']}, {told['ip']}")
    if issuer:
        click.echo(f"    of {issuer}")
    since, seen, until = told["created_at"], told["last_seen_at"], told["expires_at"]
    click.echo(f"    since {since}, last seen {seen}, until {until}")
