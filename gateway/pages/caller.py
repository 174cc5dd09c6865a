"""Identity and address of a page's caller: decided by the pipeline, read here."""

from typing import Any
from urllib.parse import unquote

import orjson
from aiohttp import web

from gateway.config.credentials import auth_method
from gateway.core.audit import AuditEntry, AuditEvent
from gateway.core.errors import Unauthenticated
from gateway.core.identity import (
    Identity,
    User,
    Wallet,
)
from gateway.headers.internal import INTERNAL_CLIENT, INTERNAL_REPLACED
from gateway.headers.request import INTERNAL_IDENTITY


def address(request: web.Request) -> str:
    """Address of the client, as the pipeline read it."""
    return request.headers.get(INTERNAL_CLIENT, "")


def decision(request: web.Request, event: AuditEvent, actor: str, subject: str) -> AuditEntry:
    """Describe a decision for the audit file: who asked, from where, in which request."""
    request_id = request.headers.get("X-Request-Id", "")
    return AuditEntry(event, actor, subject, address(request), request_id=request_id)


def replaced(request: web.Request) -> list[str]:
    """Keys of the sessions of the cookies that came with a request to sign in."""
    return request.headers.get(INTERNAL_REPLACED, "").split()


def caller(request: web.Request) -> Identity | None:
    """
    Identity that the pipeline authenticated, or None.

    The header is trustworthy; see `gateway.headers.internal`.
    """
    text = request.headers.get(INTERNAL_IDENTITY)
    if text is None:
        return None
    fields = orjson.loads(unquote(text))
    return Identity(
        user=_user(fields["user"]),
        method=auth_method(fields["method"]),
        token_id=fields["token_id"],
        expires_at_ms=fields["expires_at_ms"],
        session_key=fields["session_key"],
        proven_at_ms=fields["proven_at_ms"],
        roles=None if fields["roles"] is None else tuple(fields["roles"]),
        scopes=tuple(fields["scopes"]),
        permissions=None if fields["permissions"] is None else tuple(fields["permissions"]),
    )


def require_caller(request: web.Request) -> Identity:
    """Identity that the pipeline authenticated. Raises `Unauthenticated`."""
    identity = caller(request)
    if identity is None:
        raise Unauthenticated("no identity")
    return identity


def _user(members: dict[str, Any]) -> User:
    wallets = tuple(Wallet(**wallet) for wallet in members["wallets"])
    return User(**{**members, "wallets": wallets})
