"""Whose request a page is answering: decided by the journey, read here."""

from urllib.parse import unquote

import orjson
from aiohttp import web

from gateway.messages import AuthMethod, Identity, User
from gateway.proxy.headers import INTERNAL_IDENTITY
from gateway.proxy.internal import INTERNAL_CLIENT


def address(request: web.Request) -> str:
    """The client's address, as the journey has read it."""
    return request.headers.get(INTERNAL_CLIENT, "")


def caller(request: web.Request) -> Identity | None:
    """
    Whom the journey has proven, or None.

    The header can be believed: the gateway strips it from every request before it writes its own,
    and nothing but the gateway reaches these pages.
    """
    text = request.headers.get(INTERNAL_IDENTITY)
    if text is None:
        return None
    fields = orjson.loads(unquote(text))
    return Identity(
        user=User(**fields["user"]),
        method=AuthMethod(fields["method"]),
        token_id=fields["token_id"],
        expires_at_ms=fields["expires_at_ms"],
        session_key=fields["session_key"],
        proven_at_ms=fields["proven_at_ms"],
        roles=tuple(fields["roles"]),
        scopes=tuple(fields["scopes"]),
    )
