"""A person's own sessions: which there are, and to end one of them."""

import orjson
from aiohttp import web

from gateway.authz.csrf import refuse_foreign_page
from gateway.core.errors import NoSession, Unauthenticated
from gateway.core.identity import Identity, SessionSummary
from gateway.core.ports import Clock, Sessions
from gateway.pages.caller import caller
from gateway.sessions.cookie import Cookie
from gateway.util.rfc3339 import rfc3339


class OwnSessionsPages:
    """``GET /sessions`` and ``DELETE /sessions/{id}``."""

    def __init__(
        self, sessions: Sessions, cookie: Cookie, public_origin: str, clock: Clock
    ) -> None:
        self._sessions = sessions
        self._cookie = cookie
        self._public_origin = public_origin
        self._clock = clock

    def routes(self, prefix: str) -> list[web.RouteDef]:
        """The pages under ``prefix``."""
        return [
            web.get(f"{prefix}/sessions", self.show),
            web.delete(f"{prefix}/sessions/{{id}}", self.end),
        ]

    async def show(self, request: web.Request) -> web.Response:
        """The caller's sessions, as ``{"sessions": […]}``, the newest first."""
        person = _person(request)
        found = await self._sessions.list_for(person.user.issuer)
        shown = [self._shown(session, person) for session in found if session.created_at_ms]
        return web.Response(body=orjson.dumps({"sessions": shown}), content_type="application/json")

    def _shown(self, session: SessionSummary, person: Identity) -> dict[str, object]:
        is_current = session.session_key == person.session_key
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
        """End one of the caller's own sessions; with the current one its cookie goes too."""
        refuse_foreign_page(request.headers, self._public_origin)
        person = _person(request)
        issuer, asked = person.user.issuer, request.match_info["id"]
        found = await self._sessions.list_for(issuer)
        session = next((session for session in found if session.id == asked), None)
        if session is None:
            raise NoSession
        await self._sessions.end(session.session_key, issuer)
        response = web.Response(status=204)
        if session.session_key == person.session_key:
            response.headers.add("Set-Cookie", self._cookie.clear())
        return response


def _person(request: web.Request) -> Identity:
    identity = caller(request)
    if identity is None:
        raise Unauthenticated("no identity")
    return identity
