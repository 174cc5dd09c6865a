"""Signing in with a DID token, asking who one is, signing out."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import orjson
from aiohttp import web

from gateway.authz.csrf import refuse_foreign_page
from gateway.core.errors import (
    AmbiguousCredentials,
    BadRequest,
    MustBeBearer,
    StoreUnavailable,
    Unauthenticated,
)
from gateway.core.identity import AuthMethod, Browser, Identity
from gateway.core.ports import Clock, Revocations, Sessions
from gateway.pages.attempt import AttemptPages
from gateway.pages.caller import address, caller, replaced
from gateway.sessions.cookie import Cookie
from gateway.sessions.delayed_ends import DelayedEnds
from gateway.sessions.user_agent import device_name
from gateway.util.rfc3339 import rfc3339


class SessionPages:
    """``POST``, ``GET`` and ``DELETE /session``, and ``POST /logout`` for forms."""

    def __init__(
        self,
        sessions: Sessions,
        cookie: Cookie,
        attempts: AttemptPages,
        public_origin: str,
        clock: Clock,
        revocations: Revocations,
        farewell: Callable[[str], object] = lambda _issuer: None,
    ) -> None:
        """``farewell`` is told who signs out; it waits for nothing."""
        self._sessions = sessions
        self._partings = DelayedEnds(sessions)
        self._revocations = revocations
        self._attempts = attempts
        self._cookie = cookie
        self._public_origin = public_origin
        self._clock = clock
        self._farewell = farewell

    def routes(self, prefix: str) -> list[web.RouteDef]:
        """The pages under ``prefix``."""
        return [
            web.post(f"{prefix}/session", self.exchange),
            web.get(f"{prefix}/session", self.who_am_i),
            web.delete(f"{prefix}/session", self.log_out),
            web.post(f"{prefix}/logout", self.log_out),
        ]

    async def aclose(self) -> None:
        """End the sessions that were to end in a moment."""
        await self._partings.aclose()

    async def exchange(self, request: web.Request) -> web.Response:
        """
        A DID token for a session that ends when the token would have.

        What the browser had before is ended, whosever it was: a session that somebody else has
        planted, or copied, is not gone on with, and none is left over that nobody has a cookie of.
        With ``?renewal=true`` that is done in a moment, after the requests that are under way.
        """
        refuse_foreign_page(request.headers, self._public_origin)
        end = self._partings.end if _flag(request, "renewal") else self._sessions.end
        proven = _proven(request)
        if proven.method is not AuthMethod.DID_TOKEN:
            raise MustBeBearer("a session cannot be exchanged for another")
        await self._attempts.settle(request, proven)
        browser = Browser(device_name(request.headers.get("User-Agent", "")), address(request))
        secret, identity = await self._sessions.create(proven, browser)
        for session_key in replaced(request):
            with suppress(StoreUnavailable):  # the browser forgets its cookie in any case
                await end(session_key, proven.user.issuer)
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
        is refused: the token would be looked at, and the session would live on. With
        ``?everywhere=true`` all that the person has proven is void, on all gateways; for that it
        must be known who they are.
        """
        refuse_foreign_page(request.headers, self._public_origin)
        is_everywhere = _flag(request, "everywhere")
        identity = caller(request)
        if identity is not None and identity.session_key is None:
            raise AmbiguousCredentials("signing out is for cookies")
        if identity is not None and identity.session_key is not None:
            issuer = identity.user.issuer
            if is_everywhere:
                await self._revocations.revoke(issuer)  # which decides; the rest tidies up
                await self._sessions.end_all(issuer)
            await self._sessions.end(identity.session_key, issuer)
            self._farewell(issuer)
        response = web.Response(status=204)
        if request.headers.get("Sec-Fetch-Mode") == "navigate":  # a form: people want to see a page
            # Who was to be signed out everywhere, and was not, must hear of it: they sign in first.
            place = "account" if is_everywhere and identity is None else "login"
            response = web.Response(status=303, headers={"Location": place})
        elif is_everywhere and identity is None:
            raise Unauthenticated("nobody to sign out everywhere")
        response.headers.add("Set-Cookie", self._cookie.clear())
        return response


def _flag(request: web.Request, name: str) -> bool:
    said = request.query.getall(name, ["false"])
    if said not in (["true"], ["false"]):
        raise BadRequest(name)
    return said == ["true"]


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
        "expires_at": rfc3339(identity.expires_at_ms),
    }
    return web.Response(
        status=status, body=orjson.dumps(described), content_type="application/json"
    )
