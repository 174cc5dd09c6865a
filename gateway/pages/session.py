"""The current session: sign in with a DID token, ask for one's identity, sign out."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self

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
from gateway.pages.caller import address, caller, replaced, require_caller
from gateway.pages.services import PageGroup, PageServices
from gateway.sessions.cookie import Cookie
from gateway.sessions.delayed_ends import DelayedEnds
from gateway.sessions.user_agent import device_name
from gateway.util.rfc3339 import rfc3339


class SessionPages(PageGroup):
    """``POST``, ``GET`` and ``DELETE /session``, and ``POST /logout`` for forms."""

    def __init__(
        self,
        sessions: Sessions,
        cookie: Cookie,
        attempts: AttemptPages,
        public_origin: str,
        clock: Clock,
        revocations: Revocations,
        log_out_at_magic: Callable[[str], object] = lambda _issuer: None,
    ) -> None:
        self._sessions = sessions
        self._delayed_ends = DelayedEnds(sessions)
        self._revocations = revocations
        self._attempts = attempts
        self._cookie = cookie
        self._public_origin = public_origin
        self._clock = clock
        self._log_out_at_magic = log_out_at_magic

    @classmethod
    def of(cls, services: PageServices) -> Self:
        return cls(
            services.sessions,
            services.cookie,
            AttemptPages.of(services),
            services.public_origin,
            services.clock,
            services.revocations,
            services.log_out_at_magic,
        )

    async def aclose(self) -> None:
        """End the sessions that are due to end."""
        await self._delayed_ends.aclose()

    async def exchange(self, request: web.Request) -> web.Response:
        """
        Exchange a DID token for a session that ends when the token would have.

        Session fixation: the sessions that the browser had before are ended, whichever user they
        belong to. A planted or copied session is not continued, and none is left without a cookie.
        With ``?renewal=true`` they end a moment later, after the requests under way.
        """
        refuse_foreign_page(request.headers, self._public_origin)
        end = self._delayed_ends.end if _flag(request, "renewal") else self._sessions.end
        token_identity = require_caller(request)
        if token_identity.method != AuthMethod.DID_TOKEN:
            raise MustBeBearer("a session cannot be exchanged for another")
        await self._attempts.settle(request, token_identity)
        browser = Browser(device_name(request.headers.get("User-Agent", "")), address(request))
        secret, identity = await self._sessions.create(token_identity, browser)
        for session_key in replaced(request):
            with suppress(StoreUnavailable):  # the browser forgets its cookie in any case
                await end(session_key, token_identity.user.issuer)
        left_s = identity.expires_at_ms // 1000 - int(self._clock())
        response = _describe(identity, status=201)
        response.headers.add("Set-Cookie", self._cookie.set(secret, max(0, left_s)))
        return response

    async def who_am_i(self, request: web.Request) -> web.Response:
        """Describe the identity that the request's credential proves."""
        return _describe(require_caller(request), status=200)

    async def log_out(self, request: web.Request) -> web.Response:
        """
        End the session. Answers the same where there was none.

        CSRF: a page of another site cannot have the cookie cleared. A token beside the cookie is
        refused: the token would be authenticated, and the session would live on. With
        ``?everywhere=true`` everything that the user has proven is revoked, on all gateways; that
        needs a valid session.
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
            self._log_out_at_magic(issuer)
        response = web.Response(status=204)
        if request.headers.get("Sec-Fetch-Mode") == "navigate":  # a form: show a page
            # The account page asks for a sign-in first: signing out everywhere has not happened.
            place = "account" if is_everywhere and identity is None else "login"
            response = web.Response(status=303, headers={"Location": place})
        elif is_everywhere and identity is None:
            raise Unauthenticated("signing out everywhere needs a session")
        response.headers.add("Set-Cookie", self._cookie.clear())
        return response


def _flag(request: web.Request, name: str) -> bool:
    given = request.query.getall(name, ["false"])
    if given not in (["true"], ["false"]):
        raise BadRequest(name)
    return given == ["true"]


def _describe(identity: Identity, status: int) -> web.Response:
    user = identity.user
    described: dict[str, Any] = {
        "issuer": user.issuer,
        "email": user.email,
        "public_address": user.public_address,
        "phone": user.phone,
        "roles": identity.roles,
        "permissions": identity.permissions,
        "expires_at": rfc3339(identity.expires_at_ms),
    }
    return web.Response(
        status=status, body=orjson.dumps(described), content_type="application/json"
    )
