"""``gateway sessions``: list and revoke sessions."""

from pathlib import Path

import click

from gateway.cli.common import (
    EXIT_NO,
    IssuerParam,
    config_option,
    fail,
    json_option,
    print_json,
    run,
    settings_in,
)
from gateway.config.schema import Settings
from gateway.core.errors import MagicUnavailable
from gateway.core.identity import SessionSummary
from gateway.revocation.revoke import Revoked, Revoker
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
from gateway.util.rfc3339 import rfc3339


@click.group()
def sessions() -> None:
    """List and revoke sessions."""


@sessions.command("list")
@click.argument("issuer", type=IssuerParam())
@config_option
@json_option
def list_(issuer: str, path: Path, *, as_json: bool) -> None:
    """
    List the sessions of ISSUER (did:ethr:0x…), the newest first.

    Exit status 1: there are none.
    """
    settings = settings_in(path)
    found = run(_list(settings, issuer))
    if as_json:
        print_json([_describe(session) for session in found])
    else:
        for session in found:
            _show(session)
    if not found:
        fail(f"{issuer} has no sessions", EXIT_NO)


@sessions.command()
@click.argument("issuer", type=IssuerParam(), required=False)
@click.option("--id", "session_id", help="Id of one session, as `list`, apps and pages show it.")
@config_option
@json_option
def revoke(issuer: str | None, session_id: str | None, path: Path, *, as_json: bool) -> None:
    """
    Revoke ISSUER (did:ethr:0x…): its sessions, tokens and tunnels, at all gateways.

    With --id, end one session alone; ISSUER may be left out then.

    Exit status 1: with --id, there is no such session.
    """
    settings = settings_in(path)
    if session_id is not None:
        ended = run(_end(settings, issuer, session_id))
        if as_json:
            print_json({"issuer": issuer, "sessions_ended": ended})
        elif ended:
            click.echo(f"{ended} session ended")
        if not ended:
            fail("there is no such session", EXIT_NO)
        return
    if issuer is None:
        raise click.UsageError("name an ISSUER, or a session with --id")
    done, is_told = run(_revoke(settings, issuer))
    if as_json:
        revoked_at = rfc3339(done.epoch_ms)
        print_json(
            {
                "issuer": issuer,
                "revoked_at": revoked_at,
                "sessions_ended": done.sessions,
                "magic_signed_out": is_told,
            }
        )
        return
    click.echo(f"{issuer}: {done.sessions} sessions ended")
    if is_told is False:
        click.echo("gateway: Magic was not reached: its own sessions may continue", err=True)


async def _list(settings: Settings, issuer: str) -> list[SessionSummary]:
    async with shared_store(settings) as shared:
        return await _sessions(settings, shared).list_for(issuer)


async def _revoke(settings: Settings, issuer: str) -> tuple[Revoked, bool | None]:
    """Revoke ``issuer``; return the result, and whether Magic was told (None: not configured)."""
    async with shared_store(settings) as shared:
        revocations = revocation_store(shared, settings.identity.max_token_lifetime_s)
        revoker = Revoker(revocations, _sessions(settings, shared), lambda _issuer: None)
        done = await revoker.revoke(issuer)
    if not logs_out_at_magic(settings):
        return done, None
    try:
        async with magic_api(settings) as api:
            await api.log_out(issuer)
    except MagicUnavailable:
        return done, False
    return done, True


async def _end(settings: Settings, issuer: str | None, session_id: str) -> int:
    async with shared_store(settings) as shared:
        of_all = _sessions(settings, shared)
        if issuer is None:
            keys = {key async for key in scan_keys(settings, SESSION)}
        else:
            keys = {found.session_key for found in await of_all.list_for(issuer)}
        chosen = [key for key in keys if public_id(key) == session_id]
        for key in chosen:
            await of_all.end(key, issuer)
        return len(chosen)


def _sessions(settings: Settings, shared: SharedStore) -> RedisSessions:
    """Build the sessions; without a key in the config (development mode) no sealed entry opens."""
    return session_store(settings, shared, server_keys(settings) or throwaway_keys())


def _describe(session: SessionSummary) -> dict[str, str | None]:
    return {
        "id": session.id,
        "device": session.browser.device or None,
        "ip": session.browser.address or None,
        "created_at": _time(session.created_at_ms),
        "last_seen_at": _time(session.seen_at_ms),
        "expires_at": _time(session.expires_at_ms),
    }


def _show(session: SessionSummary) -> None:
    """Print a session in lines that fit a narrow terminal."""
    told = {name: value or "?" for name, value in _describe(session).items()}
    click.echo(f"{told['id']}  {told['device']}, {told['ip']}")
    since, seen, until = told["created_at"], told["last_seen_at"], told["expires_at"]
    click.echo(f"    since {since}, last seen {seen}, until {until}")


def _time(at_ms: int | None) -> str | None:
    return None if at_ms is None else rfc3339(at_ms)
