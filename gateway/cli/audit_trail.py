"""
Lines of the audit file about what commands have changed.

A line goes to the file of ``--audit-file``, else to ``audit.file`` where this machine can write it,
else to the admin API of a gateway (``$GATEWAY_ADMIN_URL``, or ``admin.listen``).
"""

import asyncio
import contextlib
import os
import secrets
import socket
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

import aiohttp
import click

from gateway.audit.file import AuditFile, writer_name
from gateway.audit.heads import Heads
from gateway.audit.sent import seal_sent
from gateway.cli.common import EXIT_NO, fail, user_name
from gateway.cli.private_place import PrivateAddress, address_of, private_address
from gateway.cli.terminal import F
from gateway.config.audit import AuditSettings
from gateway.config.schema import Settings
from gateway.core.audit import AuditDetail, AuditEntry, AuditEvent
from gateway.core.errors import StartError, StoreUnavailable
from gateway.runtime.services.audit import key_of
from gateway.runtime.services.store import shared_store

_OPTION: Final = "gateway.audit_file"
_API_S: Final = 5.0


AuditedChanges = Mapping[str, Mapping[str, AuditDetail]]
"""What was changed: details by subject."""


class NotRecorded(Exception):
    """A line could not be written anywhere."""


def audit_option(command: F) -> F:
    """``--audit-file``, which `record` reads."""

    def keep(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
        ctx.meta[_OPTION] = value

    return click.option(
        "--audit-file",
        type=click.Path(dir_okay=False),
        expose_value=False,
        callback=keep,
        help="File for the audit line, in place of audit.file.",
    )(command)


def require_trail(settings: Settings) -> None:
    """End a command that gives rights where ``on_failure`` is ``refuse`` and no line can go out."""
    if settings.audit is None:
        if click.get_current_context().meta.get(_OPTION):
            raise click.UsageError("--audit-file needs audit.key in the config")
        return
    if settings.audit.on_failure == "refuse":
        try:
            _open(settings.audit).close()
        except OSError as error:
            try:
                asyncio.run(_ask_api(settings, error))
            except NotRecorded as failure:
                fail(f"audit.on_failure is refuse: {failure}", EXIT_NO)


def record(settings: Settings, event: AuditEvent, changes: AuditedChanges) -> None:
    """Write a line for each change; say on standard error where that was not possible."""
    if settings.audit is None or not changes:
        return
    actor = operator()
    entries = [AuditEntry(event, actor, subject, details=changes[subject]) for subject in changes]
    try:
        _record(settings, settings.audit, entries)
    except NotRecorded as error:
        click.echo(f"gateway: not in the audit file: {error}; see --audit-file", err=True)


def operator() -> str:
    """Name the operator: ``user@host``."""
    return f"{user_name()}@{socket.gethostname()}"


def _record(settings: Settings, audit: AuditSettings, entries: list[AuditEntry]) -> None:
    origin = os.environ.get("SSH_CONNECTION", "").partition(" ")[0]
    entries = [entry._replace(origin=origin) for entry in entries]
    try:
        file = _open(audit)
    except OSError as error:
        asyncio.run(_send(settings, audit, entries, error))
        return
    try:
        for entry in entries:
            file.append(entry)
    except OSError as error:
        raise NotRecorded(f"{audit.file}: {error.strerror}") from error
    finally:
        file.close()
        asyncio.run(_keep_head(settings, file))


def _open(audit: AuditSettings) -> AuditFile:
    path = click.get_current_context().meta.get(_OPTION) or audit.file
    return AuditFile(path, key_of(audit), writer_name("cli", secrets.token_hex(4)))


async def _keep_head(settings: Settings, file: AuditFile) -> None:
    if file.head is None:
        return
    try:
        async with shared_store(settings) as shared:
            await Heads(shared.store).write(file.writer, file.head)
    except (StoreUnavailable, StartError):
        click.echo("gateway: the head of the audit line is not in the store", err=True)


# --- the admin API --------------------------------------------------------------------------------


async def _ask_api(settings: Settings, why: OSError) -> None:
    """Check that a gateway takes lines. Raises `NotRecorded`."""
    async with _api(settings, why) as (session, url), session.get(f"{url}/readyz") as answer:
        document: dict[str, Any] = await answer.json()
        if document.get("audit") != "ok":
            raise NotRecorded(f"{url} takes no audit lines")


async def _send(
    settings: Settings, audit: AuditSettings, entries: Iterable[AuditEntry], why: OSError
) -> None:
    """Send lines to a gateway. Raises `NotRecorded`."""
    async with _api(settings, why) as (session, url):
        for entry in entries:
            body = seal_sent(key_of(audit), entry, int(time.time() * 1000))
            kind = {"Content-Type": "application/json"}
            async with session.post(f"{url}/api/audit", data=body, headers=kind) as answer:
                if not answer.ok:
                    raise NotRecorded(f"{url}/api/audit: status {answer.status}")


@contextlib.asynccontextmanager
async def _api(settings: Settings, why: OSError) -> Any:
    try:
        address = _address(settings)
    except ValueError as error:
        raise NotRecorded(f"$GATEWAY_ADMIN_URL: {error}") from error
    if address is None:
        raise NotRecorded(f"{why.filename}: {why.strerror}, and the config has no admin API")
    url = address.text
    try:
        timeout = aiohttp.ClientTimeout(total=_API_S)
        async with aiohttp.ClientSession(timeout=timeout, connector=_connector(address)) as session:
            yield session, address.url
    except (aiohttp.ClientError, OSError, ValueError, TimeoutError) as error:
        raise NotRecorded(f"{why.filename}: {why.strerror}, and {url} was not reached") from error


def _address(settings: Settings) -> PrivateAddress | None:
    """Return where the API is; None for nowhere. Raises `ValueError`."""
    url, admin = os.environ.get("GATEWAY_ADMIN_URL", "").rstrip("/"), settings.admin
    if url:
        return private_address(url)
    if admin is None:
        return None
    return address_of(admin.listen, "" if admin.tls is None else admin.tls.certificate)


def _connector(address: PrivateAddress) -> aiohttp.BaseConnector:
    if address.socket:
        return aiohttp.UnixConnector(address.socket)
    if address.url.startswith("https:"):
        return aiohttp.TCPConnector(ssl=address.tls())
    return aiohttp.TCPConnector()
