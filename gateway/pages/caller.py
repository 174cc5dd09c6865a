"""Whose request a page is answering, and from where: decided by the journey, read here."""

from typing import Any
from urllib.parse import unquote

import orjson
from aiohttp import web

from gateway.core.identity import (
    AuthMethod,
    Identity,
    User,
    Wallet,
)
from gateway.headers.internal import INTERNAL_CLIENT, INTERNAL_REPLACED
from gateway.headers.request import INTERNAL_IDENTITY


def address(request: web.Request) -> str:
    """The client's address, as the journey has read it."""
    return request.headers.get(INTERNAL_CLIENT, "")


def replaced(request: web.Request) -> list[str]:
    """The keys of the sessions whose cookies came along with a request to sign in."""
    return request.headers.get(INTERNAL_REPLACED, "").split()


def caller(request: web.Request) -> Identity | None:
    """
    Whom the journey has proven, or None.

    The header can be believed, see `gateway.headers.internal`.
    """
    text = request.headers.get(INTERNAL_IDENTITY)
    if text is None:
        return None
    fields = orjson.loads(unquote(text))
    return Identity(
        user=_user(fields["user"]),
        method=AuthMethod(fields["method"]),
        token_id=fields["token_id"],
        expires_at_ms=fields["expires_at_ms"],
        session_key=fields["session_key"],
        proven_at_ms=fields["proven_at_ms"],
        roles=None if fields["roles"] is None else tuple(fields["roles"]),
        scopes=tuple(fields["scopes"]),
    )


def _user(members: dict[str, Any]) -> User:
    wallets = tuple(Wallet(**wallet) for wallet in members["wallets"])
    return User(**{**members, "wallets": wallets})
