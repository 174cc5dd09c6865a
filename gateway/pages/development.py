"""``POST /development/token``: a DID token for any email, in development mode only."""

from math import isfinite
from typing import Self

from aiohttp import web

from gateway.authz.csrf import refuse_foreign_page
from gateway.core.errors import BadHost, BadRequest
from gateway.core.ports import Clock
from gateway.pages.services import LearnUser, PageGroup, PageServices
from gateway.routing.target import parse_authority
from gateway.users.development import DevelopmentMagic

DEFAULT_LIFETIME_S = 900
"""Magic's own default."""

_LONGEST_LIFETIME_S = 7 * 86_400
_LONGEST_EMAIL = 254  # RFC 5321 section 4.5.3.1.3, less the angle brackets
_LONGEST_ATTACHMENT = 128
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})


class DevelopmentPages(PageGroup):
    """``POST /development/token?email=``; absent in live mode."""

    def __init__(
        self, magic: DevelopmentMagic, learn: LearnUser, public_origin: str, clock: Clock
    ) -> None:
        self._magic = magic
        self._learn = learn
        self._public_origin = public_origin
        self._clock = clock

    @classmethod
    def of(cls, services: PageServices) -> Self | None:
        magic = services.development
        if magic is None:
            return None
        return cls(magic, services.learn, services.public_origin, services.clock)

    async def mint(self, request: web.Request) -> web.Response:
        """
        Mint a token for ``email``, valid for ``lifetime_s``, bound to ``attachment``, as text.

        DNS rebinding: refuses web pages, under any name by which they reach this machine.
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
