"""The account page: the caller's own sessions are listed, and one of them is ended."""

from datetime import UTC, datetime
from typing import Self

import orjson
from aiohttp import web

from gateway.authz.csrf import refuse_foreign_page
from gateway.core.audit import AuditEvent
from gateway.core.errors import NoSession, StoreUnavailable
from gateway.core.identity import Identity, SessionSummary
from gateway.pages.caller import decision, require_caller
from gateway.pages.html import HtmlPages
from gateway.pages.languages import choose
from gateway.pages.own_origin import OwnOrigin
from gateway.pages.services import PageGroup, PageServices
from gateway.revocation.notice import end_notice
from gateway.sessions.places import PlaceDatabase
from gateway.util.rfc3339 import rfc3339, rfc3339_if_known


class OwnSessionsPages(PageGroup):
    """``GET /account``, ``GET /sessions`` and ``DELETE /sessions/{id}``."""

    def __init__(self, services: PageServices) -> None:
        """Raises `StartError` where the database of places cannot be used."""
        settings, look = services.settings, services.error_pages.look
        self._sessions = services.sessions
        self._cookie = services.cookie
        self._public_origin = services.public_origin
        self._clock = services.clock
        self._audit = services.audit
        self._offered = look.offered
        self._pages = HtmlPages(look, settings.magic.endpoint)
        self._own_origin = OwnOrigin(settings)
        self._places = PlaceDatabase(settings.pages.places)

    @classmethod
    def of(cls, services: PageServices) -> Self:
        return cls(services)

    async def aclose(self) -> None:
        self._places.close()

    async def account(self, request: web.Request) -> web.Response:
        """Show the caller's identity and sessions; not these while the store is unavailable."""
        elsewhere = self._own_origin.redirect(request)
        if elsewhere is not None:
            return elsewhere
        identity = require_caller(request)
        try:
            listed = await self._list(request, identity)
        except StoreUnavailable:
            listed = []
        until = datetime.fromtimestamp(identity.expires_at_ms / 1000, tz=UTC)
        user = identity.user
        return self._pages.page_with_form(
            request, "account.html", ("/account", ""), user=user, until=until, sessions=listed
        )

    async def show(self, request: web.Request) -> web.Response:
        """List the caller's sessions as ``{"sessions": […]}``, the newest first."""
        listed = await self._list(request, require_caller(request))
        return web.Response(
            body=orjson.dumps({"sessions": listed}), content_type="application/json"
        )

    async def _list(self, request: web.Request, identity: Identity) -> list[dict[str, object]]:
        """Describe the caller's sessions, with places in the language of the pages."""
        found = await self._sessions.list_for(identity.user.issuer)
        known = [session for session in found if session.created_at_ms]
        addresses = {session.browser.address for session in known}
        language = choose(request.headers, self._offered)
        places = await self._places.find(addresses, language)
        return [
            {**self._describe(each, identity), "place": places.get(each.browser.address)}
            for each in known
        ]

    def _describe(self, session: SessionSummary, identity: Identity) -> dict[str, object]:
        is_current = session.session_key == identity.session_key
        seen_ms = int(self._clock() * 1000) if is_current else session.seen_at_ms
        return {
            "id": session.id,
            "device": session.browser.device,
            "ip": session.browser.address,
            "created_at": rfc3339(session.created_at_ms or 0),
            "last_seen_at": rfc3339_if_known(seen_ms),
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
        notice = end_notice(issuer, "signed-out", session.id)
        await self._sessions.end(session.session_key, issuer, [notice])
        entry = decision(request, AuditEvent.SESSION_REVOKED, issuer, issuer)
        ended = {"session": session.id}
        await self._audit.write(entry._replace(reason="signed-out", details=ended))
        response = web.Response(status=204)
        if session.session_key == identity.session_key:
            response.headers.add("Set-Cookie", self._cookie.clear())
        return response
