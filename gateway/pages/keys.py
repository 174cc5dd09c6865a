"""``GET /jwks.json``: the public keys by which apps verify assertions."""

from collections.abc import Iterable
from typing import Self

from aiohttp import web

from gateway.assertion.token import SigningKey, key_set
from gateway.pages.services import PageGroup, PageServices

MAX_AGE_S = 60
"""How long an app may cache the keys; a new key is published for longer before it signs."""


class KeyPages(PageGroup):
    """The key set, without private parts."""

    def __init__(self, keys: Iterable[SigningKey]) -> None:
        self._set = key_set(keys)

    @classmethod
    def of(cls, services: PageServices) -> Self | None:
        return cls(services.signing_keys) if services.signing_keys else None

    async def keys(self, _: web.Request) -> web.Response:
        """Publish all keys that sign, have signed, or soon will."""
        return web.Response(
            body=self._set,
            content_type="application/jwk-set+json",  # RFC 7517 section 8.5.2
            headers={"Cache-Control": f"public, max-age={MAX_AGE_S}"},
        )
