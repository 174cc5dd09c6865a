"""``GET /jwks.json``: the keys by which apps verify assertions."""

from collections.abc import Iterable

from aiohttp import web

from gateway.assertion.token import SigningKey, key_set

MAX_AGE_S = 60
"""How long an app may go on with what it has read; a new key is published for longer before."""


class KeyPages:
    """Public halves alone."""

    def __init__(self, keys: Iterable[SigningKey]) -> None:
        self._set = key_set(keys)

    def routes(self, prefix: str) -> list[web.RouteDef]:
        """The page under ``prefix``."""
        return [web.get(f"{prefix}/jwks.json", self.keys)]

    async def keys(self, _: web.Request) -> web.Response:
        """All that sign, have signed, or soon will."""
        return web.Response(
            body=self._set,
            content_type="application/jwk-set+json",  # RFC 7517 section 8.5.2
            headers={"Cache-Control": f"public, max-age={MAX_AGE_S}"},
        )
