"""The current session: sign in with a DID token, ask for one's identity, sign out."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from types import MappingProxyType
from typing import Any, Self
from urllib.parse import quote

import orjson
from aiohttp import web

from gateway.audit.switch import NO_AUDIT
from gateway.authn.return_to import HOME
from gateway.authz.csrf import refuse_foreign_page
from gateway.config import compile as compiled
from gateway.core.audit import AuditEntry, AuditEvent
from gateway.core.errors import (
    PROBLEM_TYPES,
    AmbiguousCredentials,
    AuditUnavailable,
    BadRequest,
    MustBeBearer,
    Refusal,
    StoreUnavailable,
    Unauthenticated,
)
from gateway.core.event import EventType, Notice
from gateway.core.event_ports import Events
from gateway.core.identity import AuthMethod, Browser, Identity
from gateway.core.ports import AuditTrail, Clock, Revocations, Sessions
from gateway.pages.attempt import AttemptPages
from gateway.pages.caller import address, caller, decision, replaced, require_caller
from gateway.pages.html import OnlyReturnTo
from gateway.pages.services import PageGroup, PageServices
from gateway.revocation.notice import revocation_notice, to_be_told
from gateway.sessions.cookie import Cookie
from gateway.sessions.delayed_ends import DelayedEnds
from gateway.sessions.seal import public_id
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
        events: Events,
        settled: Callable[[str], Awaitable[bool]],
        log_out_at_magic: Callable[[str], object] = lambda _issuer: None,
        audit: AuditTrail = NO_AUDIT,
        return_to: OnlyReturnTo = lambda _values: HOME,
    ) -> None:
        self._sessions = sessions
        self._delayed_ends = DelayedEnds(sessions)
        self._revocations = revocations
        self._attempts = attempts
        self._cookie = cookie
        self._public_origin = public_origin
        self._clock = clock
        self._events = events
        self._settled = settled
        self._log_out_at_magic = log_out_at_magic
        self._audit = audit
        self._return_to = return_to

    @classmethod
    def of(cls, services: PageServices) -> Self:
        return cls(
            services.sessions,
            services.cookie,
            AttemptPages.of(services),
            services.public_origin,
            services.clock,
            services.revocations,
            services.events,
            services.first_login_settled,
            services.log_out_at_magic,
            services.audit,
            compiled.return_to(services.settings).only,
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

        Where a webhook is waited for and has not taken the first sign-in of the user in time, the
        answer says so: the session stands.
        """
        refuse_foreign_page(request.headers, self._public_origin)
        end_now = partial(self._sessions.end, reason="replaced")
        end = self._delayed_ends.end if _flag(request, "renewal") else end_now
        token_identity = require_caller(request)
        if token_identity.method != AuthMethod.DID_TOKEN:
            raise MustBeBearer("a session cannot be exchanged for another")
        secret, identity = await self._create(request, token_identity)
        for session_key in replaced(request):
            with suppress(StoreUnavailable):  # the browser forgets its cookie in any case
                await end(session_key, token_identity.user.issuer)
        is_settled = await self._settled(token_identity.user.issuer)
        left_s = identity.expires_at_ms // 1000 - int(self._clock())
        pending = {} if is_settled else {"first_login": "pending"}
        response = _describe(identity, status=201, more=pending)
        response.headers.add("Set-Cookie", self._cookie.set(secret, max(0, left_s)))
        return response

    async def _create(self, request: web.Request, proven: Identity) -> tuple[str, Identity]:
        """Create the session, with its line in the audit file: neither without the other."""
        issuer = proven.user.issuer
        try:
            self._audit.require()
            await self._attempts.settle(request, proven)
            browser = Browser(device_name(request.headers.get("User-Agent", "")), address(request))
            secret, identity = await self._sessions.create(proven, browser)
        except Refusal as refusal:
            entry = decision(request, AuditEvent.LOGIN, issuer, issuer)
            code = PROBLEM_TYPES[type(refusal)].code
            await self._audit.write(entry._replace(result="refused", reason=code))
            raise
        entry = decision(request, AuditEvent.LOGIN, issuer, issuer)
        key = str(identity.session_key)
        details = {"session": public_id(key), "device": browser.device or None}
        try:
            await self._audit.write(entry._replace(details=details), may_refuse=True)
        except AuditUnavailable:
            self._audit.note(entry._replace(result="failed", reason="audit_unavailable"))
            with suppress(StoreUnavailable):  # its cookie is not sent
                await self._sessions.end(key, issuer, reason="revoked")
            raise
        return secret, identity

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
            session = {"session": public_id(identity.session_key)}
            notices = [Notice(EventType.LOGOUT, issuer, session)]
            if is_everywhere:
                ended = await self._revoke(issuer, notices)
                await self._audit.write(_everywhere(request, issuer, ended))
                with suppress(StoreUnavailable):  # it is revoked, and that is told
                    await self._sessions.end(identity.session_key, issuer)
            else:
                await self._sessions.end(identity.session_key, issuer, notices)
            self._log_out_at_magic(issuer)
            entry = decision(request, AuditEvent.LOGOUT, issuer, issuer)
            await self._audit.write(entry._replace(details=session))
        response = web.Response(status=204)
        if request.headers.get("Sec-Fetch-Mode") == "navigate":  # a form: show a page
            # The account page asks for a sign-in first: signing out everywhere has not happened.
            is_undone = is_everywhere and identity is None
            place = "account" if is_undone else self._place_after(request)
            response = web.Response(status=303, headers={"Location": place})
        elif is_everywhere and identity is None:
            raise Unauthenticated("signing out everywhere needs a session")
        response.headers.add("Set-Cookie", self._cookie.clear())
        return response

    def _place_after(self, request: web.Request) -> str:
        """
        Return where a browser goes that has signed out; open redirects are refused as after login.

        One that switches accounts signs in again, and comes back to the page that refused it.
        """
        if _flag(request, "switch"):
            back = self._return_to(request.headers.getall("Referer", []))
            return f"login?return_to={quote(back)}"
        wanted = request.query.getall("return_to", [])
        return self._return_to(wanted) if wanted else "signed-out"

    async def _revoke(self, issuer: str, notices: Sequence[Notice]) -> int | None:
        """
        Revoke all that the issuer has proven; return how many sessions were ended.

        The revocation decides, and is told; the rest tidies up. None where the store is away then.
        """
        listed = await to_be_told(self._sessions, self._events, issuer)
        revoked = revocation_notice(issuer, "signed-out-everywhere", listed)
        await self._revocations.revoke(issuer, [revoked, *notices])
        with suppress(StoreUnavailable):
            return await self._sessions.end_all(issuer, listed)
        return None


def _everywhere(request: web.Request, issuer: str, ended: int | None) -> AuditEntry:
    entry = decision(request, AuditEvent.ISSUER_REVOKED, issuer, issuer)
    return entry._replace(reason="signed-out-everywhere", details={"sessions_ended": ended})


def _flag(request: web.Request, name: str) -> bool:
    given = request.query.getall(name, ["false"])
    if given not in (["true"], ["false"]):
        raise BadRequest(name)
    return given == ["true"]


def _describe(
    identity: Identity, status: int, more: Mapping[str, str] = MappingProxyType({})
) -> web.Response:
    user = identity.user
    described: dict[str, Any] = {
        "issuer": user.issuer,
        "email": user.email,
        "public_address": user.public_address,
        "phone": user.phone,
        "roles": identity.roles,
        "permissions": identity.permissions,
        "expires_at": rfc3339(identity.expires_at_ms),
        **more,
    }
    return web.Response(
        status=status, body=orjson.dumps(described), content_type="application/json"
    )
