"""Development mode's stand-in for the login page: a DID token for whatever email is asked for."""

from aiohttp import web

from gateway.identity.development import DevelopmentMagic
from gateway.ports import Clock

DEFAULT_LIFETIME_S = 900
"""Magic's own default."""


class DevelopmentPages:
    """``POST /development/token?email=``; never there in live mode."""

    def __init__(self, magic: DevelopmentMagic, clock: Clock) -> None:
        self._magic = magic
        self._clock = clock

    def routes(self, prefix: str) -> list[web.RouteDef]:
        """The page under ``prefix``."""
        return [web.post(f"{prefix}/development/token", self.mint)]

    async def mint(self, request: web.Request) -> web.Response:
        """A token as text, made for ``email``, valid for ``lifetime_s`` seconds."""
        try:
            lifetime_s = float(request.query.get("lifetime_s", DEFAULT_LIFETIME_S))
        except ValueError:
            raise web.HTTPBadRequest from None
        email = request.query.get("email", "ada@example.com")
        token = self._magic.mint(email, lifetime_s, self._clock())
        return web.Response(text=token + "\n")
