"""The caller's own sessions: list them, and end one of them."""

from typing import Self

import orjson
from aiohttp import web

from gateway.authz.csrf import refuse_foreign_page
from gateway.core.errors import NoSession
from gateway.core.identity import Identity, SessionSummary
from gateway.core.ports import Clock, Sessions
from gateway.pages.caller import require_caller
from gateway.pages.services import PageGroup, PageServices
from gateway.sessions.cookie import Cookie
from gateway.util.rfc3339 import rfc3339


class OwnSessionsPages(PageGroup):
    """``GET /sessions`` and ``DELETE /sessions/{id}``."""

    def __init__(
        self, sessions: Sessions, cookie: Cookie, public_origin: str, clock: Clock
    ) -> None:
        self._sessions = sessions
        self._cookie = cookie
        self._public_origin = public_origin
        self._clock = clock

    @classmethod
    def of(cls, services: PageServices) -> Self:
        return cls(services.sessions, services.cookie, services.public_origin, services.clock)

    async def show(self, request: web.Request) -> web.Response:
        """List the caller's sessions as ``{"sessions": […]}``, the newest first."""
        identity = require_caller(request)
        found = await self._sessions.list_for(identity.user.issuer)
        listed = [self._describe(session, identity) for session in found if session.created_at_ms]
        return web.Response(
            body=orjson.dumps({"sessions": listed}), content_type="application/json"
        )

    def _describe(self, session: SessionSummary, identity: Identity) -> dict[str, object]:
        is_current = session.session_key == identity.session_key
        seen_ms = int(self._clock() * 1000) if is_current else session.seen_at_ms
        return {
            "id": session.id,
            "device": session.browser.device,
            "ip": session.browser.address,
            "created_at": rfc3339(session.created_at_ms or 0),
            "last_seen_at": None if seen_ms is None else rfc3339(seen_ms),
            "expires_at": rfc3339(session.expires_at_ms),
            "current": is_current,
        }

    async def end(self, request: web.Request) -> web.Response:
        """End one of the caller's own sessions; ending the current one clears its cookie too."""
        refuse_foreign_page(request.headers, self._public_origin)
        identity = require_caller(request)
        issuer, wanted = identity.user.issuer, request.match_info["id"]
        found = await self._sessions.list_for(issuer)
        session = next((session for session in found if session.id == wanted), None)
        if session is None:
            raise NoSession
        await self._sessions.end(session.session_key, issuer)
        response = web.Response(status=204)
        if session.session_key == identity.session_key:
            response.headers.add("Set-Cookie", self._cookie.clear())
        return response
