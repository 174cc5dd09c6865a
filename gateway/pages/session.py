"""Signing in with a DID token, asking who one is, signing out."""

from datetime import UTC, datetime
from typing import Any

import orjson
from aiohttp import web

from gateway.access import refuse_foreign_page
from gateway.errors import AmbiguousCredentials, MustBeBearer, Unauthenticated
from gateway.messages import AuthMethod, Identity
from gateway.pages.attempt import AttemptPages
from gateway.pages.caller import caller
from gateway.ports import Clock, Sessions
from gateway.sessions.cookie import Cookie


class SessionPages:
    """``POST``, ``GET`` and ``DELETE /session``, and ``POST /logout`` for forms."""

    def __init__(
        self,
        sessions: Sessions,
        cookie: Cookie,
        attempts: AttemptPages,
        public_origin: str,
        clock: Clock,
    ) -> None:
        self._sessions = sessions
        self._attempts = attempts
        self._cookie = cookie
        self._public_origin = public_origin
        self._clock = clock

    def routes(self, prefix: str) -> list[web.RouteDef]:
        """The pages under ``prefix``."""
        return [
            web.post(f"{prefix}/session", self.exchange),
            web.get(f"{prefix}/session", self.who_am_i),
            web.delete(f"{prefix}/session", self.log_out),
            web.post(f"{prefix}/logout", self.log_out),
        ]

    async def exchange(self, request: web.Request) -> web.Response:
        """A DID token for a session that ends when the token would have."""
        proven = _proven(request)
        if proven.method is not AuthMethod.DID_TOKEN:
            raise MustBeBearer("a session cannot be exchanged for another")
        await self._attempts.settle(request, proven)
        secret, identity = await self._sessions.create(proven)
        left_s = identity.expires_at_ms // 1000 - int(self._clock())
        response = _described(identity, status=201)
        response.headers.add("Set-Cookie", self._cookie.set(secret, max(0, left_s)))
        return response

    async def who_am_i(self, request: web.Request) -> web.Response:
        """Whose credential the request carries."""
        return _described(_proven(request), status=200)

    async def log_out(self, request: web.Request) -> web.Response:
        """
        Forget the session. Says the same where there was none: the wish is fulfilled.

        A page of another site cannot have the cookie cleared either, and a token beside the cookie
        is refused: the token would be looked at, and the session would live on.
        """
        refuse_foreign_page(request.headers, self._public_origin)
        identity = caller(request)
        if identity is not None and identity.session_key is None:
            raise AmbiguousCredentials("signing out is for cookies")
        if identity is not None and identity.session_key is not None:
            await self._sessions.end(identity.session_key)
        response = web.Response(status=204)
        if request.headers.get("Sec-Fetch-Mode") == "navigate":  # a form: people want to see a page
            response = web.Response(status=303, headers={"Location": "login"})
        response.headers.add("Set-Cookie", self._cookie.clear())
        return response


def _proven(request: web.Request) -> Identity:
    identity = caller(request)
    if identity is None:
        raise Unauthenticated("no identity")
    return identity


def _described(identity: Identity, status: int) -> web.Response:
    user = identity.user
    described: dict[str, Any] = {
        "issuer": user.issuer,
        "email": user.email,
        "public_address": user.public_address,
        "phone": user.phone,
        "roles": identity.roles,
        "expires_at": _rfc3339(identity.expires_at_ms),
    }
    return web.Response(
        status=status, body=orjson.dumps(described), content_type="application/json"
    )


def _rfc3339(at_ms: int) -> str:
    at = datetime.fromtimestamp(at_ms / 1000, tz=UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
