"""The middleware that admits or denies each request for the dashboard and the API."""

import logging
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from aiohttp import web

from gateway.admin.access import (
    COOKIE,
    TOKEN_REQUIRED,
    WRONG_TOKEN,
    AdminAccess,
    AdminRequest,
    Denial,
    Operator,
)
from gateway.admin.denials import DenialTrail
from gateway.admin.guesses import MAX_WRONG, TokenGuesses
from gateway.admin.problems import denied
from gateway.audit.switch import NO_AUDIT
from gateway.authn.certificate import read
from gateway.core.ports import AuditTrail, Clock
from gateway.core.request import Certificate
from gateway.routing.client_address import UNIX

OPERATOR: Final = web.RequestKey("operator", Operator)
"""The operator who makes a request that was admitted."""

_NOT_GUARDED: Final = frozenset(
    {
        *("/healthz", "/startupz", "/readyz", "/metrics"),
        *("/", "/assets/{version}/{name}", "/sign-in", "/api/audit", ""),
    }
)
"""Probes, pages without data, what has a guard of its own, and unknown paths (empty)."""

Answerer = Callable[[web.Request], Awaitable[web.StreamResponse]]

_log = logging.getLogger(__name__)


class AccessControl:
    """Admits requests by the rules in use, limits wrong tokens, and records what it denies."""

    def __init__(
        self,
        access: Callable[[], AdminAccess],
        clock: Clock = time.time,
        trail: AuditTrail = NO_AUDIT,
    ) -> None:
        """``access`` returns the rules in use; ``trail`` is told of denials."""
        self._access = access
        self.clock = clock
        self._guesses = TokenGuesses()
        self._denials = DenialTrail(trail)

    @property
    def access(self) -> AdminAccess:
        """The rules in use."""
        return self._access()

    @web.middleware
    async def guarded(self, request: web.Request, handler: Answerer) -> web.StreamResponse:
        """Answer requests that are admitted, and deny all others."""
        path = _path(request)
        if not self.access.is_route and path in _NOT_GUARDED:
            return await handler(request)
        denial = self.denial(request)
        if denial is not None:
            self.record(request, denial)
            return denied(denial)
        request[OPERATOR] = self.access.operator(_asked(request, path), self.clock())
        return await handler(request)

    def denial(self, request: web.Request) -> Denial | None:
        """Return why a request is denied, or None."""
        asked, now_s = _asked(request, _path(request)), self.clock()
        denial = self.access.denial(asked, now_s)
        if denial is None or denial.code != TOKEN_REQUIRED or not asked.bearer:
            return denial
        return self._too_many(asked.peer, now_s) or denial

    def token_denial(self, request: web.Request, text: str) -> Denial | None:
        """Return why ``text``, which came by the form, is not taken as the token; or None."""
        if self.access.is_token(text):
            return None
        refused = self._too_many(peer_of(request), self.clock())
        return refused or WRONG_TOKEN

    def record(self, request: web.Request, denial: Denial) -> None:
        """Write the audit line of a denial; equal ones share a line."""
        self._denials.note(denial, _asked(request, _path(request)), self.access, self.clock())

    def _too_many(self, peer: str, now_s: float) -> Denial | None:
        """Count a wrong token; return the denial of one too many, or None."""
        wait_s = self._guesses.wait_s(peer, now_s)
        if wait_s:
            return Denial(
                429, "too_many_attempts", "too many wrong tokens from this address", wait_s
            )
        self._guesses.note_wrong(peer, now_s)
        if self._guesses.wait_s(peer, now_s):
            _log.warning("%s has sent %d wrong tokens within a minute", peer, MAX_WRONG)
        return None


def operator_of(request: web.Request) -> Operator:
    """Return who makes a request that was let in."""
    return request.get(OPERATOR) or Operator(origin=peer_of(request))


def peer_of(request: web.Request) -> str:
    """Return the address of the other end of the socket; ``unix:`` for a unix socket."""
    transport = request.transport
    name = None if transport is None else transport.get_extra_info("peername")
    return str(name[0]) if isinstance(name, tuple) and name else UNIX if transport else ""


def _asked(request: web.Request, path: str) -> AdminRequest:
    headers: Mapping[str, str] = request.headers
    if path == "/":  # a link may lead there: the page holds no data
        skipped = ("sec-fetch", "referer")
        headers = {k: v for k, v in headers.items() if not k.lower().startswith(skipped)}
    cookie = request.cookies.get(COOKIE, "")
    peer, certificate = peer_of(request), _certificate(request)
    version = request.version.major, request.version.minor
    return AdminRequest(request.method, path, headers, peer, cookie, certificate, version)


def _path(request: web.Request) -> str:
    """Return the route of a request: its path, without parts that clients choose freely."""
    resource = request.match_info.route.resource
    path = "" if resource is None else resource.canonical
    return path.replace("{action}", request.match_info.get("action", ""))


def _certificate(request: web.Request) -> Certificate | None:
    connection = request.transport and request.transport.get_extra_info("ssl_object")
    if not isinstance(connection, ssl.SSLObject | ssl.SSLSocket):
        return None
    if connection.context.verify_mode is ssl.CERT_NONE:
        return None
    der = connection.getpeercert(binary_form=True)
    return read(der) if der else None
