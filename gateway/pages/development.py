"""Development mode's stand-in for the login page: a DID token for whatever email is asked for."""

from collections.abc import Awaitable, Callable
from math import isfinite

from aiohttp import web

from gateway.authz.csrf import refuse_foreign_page
from gateway.core.errors import BadHost, BadRequest
from gateway.core.identity import User
from gateway.core.ports import Clock
from gateway.routing.target import parse_authority
from gateway.users.development import DevelopmentMagic

DEFAULT_LIFETIME_S = 900
"""Magic's own default."""

_LONGEST_LIFETIME_S = 7 * 86_400
_LONGEST_EMAIL = 254  # RFC 5321 section 4.5.3.1.3, less the angle brackets
_LONGEST_ATTACHMENT = 128
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})

Learn = Callable[[User], Awaitable[None]]
"""Tells other processes of a user, who could not know what was minted here."""


class DevelopmentPages:
    """``POST /development/token?email=``; never there in live mode."""

    def __init__(
        self, magic: DevelopmentMagic, learn: Learn, public_origin: str, clock: Clock
    ) -> None:
        self._magic = magic
        self._learn = learn
        self._public_origin = public_origin
        self._clock = clock

    def routes(self, prefix: str) -> list[web.RouteDef]:
        """The page under ``prefix``."""
        return [web.post(f"{prefix}/development/token", self.mint)]

    async def mint(self, request: web.Request) -> web.Response:
        """
        A token as text, made for ``email``, valid for ``lifetime_s``, bound to ``attachment``.

        Not for web pages, under whatever name they reach this machine (DNS rebinding).
        """
        refuse_foreign_page(request.headers, self._public_origin)
        if parse_authority(request.host).host not in _LOOPBACK:
            raise BadHost("development mode is for this machine")
        email = request.query.get("email", "ada@example.com")
        if len(email) > _LONGEST_EMAIL or not email.isprintable():
            raise BadRequest("email")
        attachment = request.query.get("attachment", "none")
        if len(attachment) > _LONGEST_ATTACHMENT or not attachment.isprintable():
            raise BadRequest("attachment")
        token = self._magic.mint(email, _lifetime_s(request), self._clock(), attachment)
        await self._learn(self._magic.user_with(email))
        return web.Response(text=token + "\n")


def _lifetime_s(request: web.Request) -> float:
    try:
        lifetime_s = float(request.query.get("lifetime_s", DEFAULT_LIFETIME_S))
    except ValueError:
        raise BadRequest("lifetime_s") from None
    if not isfinite(lifetime_s) or not 0 < lifetime_s <= _LONGEST_LIFETIME_S:
        raise BadRequest("lifetime_s")
    return lifetime_s
