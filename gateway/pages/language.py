"""The switch of the language: a cookie that says which one was chosen."""

from typing import Self

from aiohttp import hdrs, web

from gateway.authn.return_to import ReturnTo
from gateway.config.schema import Settings
from gateway.core.errors import BadRequest
from gateway.pages.languages import COOKIE, offered
from gateway.pages.services import PageGroup, PageServices

_YEAR_S = 365 * 24 * 3600
_PAGES = ("/account", "/login", "/logout", "/signed-out")
"""Own pages that the switch leads back to."""


class LanguagePages(PageGroup):
    """``GET /language``: a link, for browsers without scripts; it sets a preference alone."""

    def __init__(self, settings: Settings) -> None:
        server = settings.server
        self._offered = frozenset(offered(settings))
        self._return_to = ReturnTo(server.public_url, server.prefix, (), _PAGES)
        self._is_https = server.public_url.startswith("https:")

    @classmethod
    def of(cls, services: PageServices) -> Self:
        return cls(services.settings)

    async def switch(self, request: web.Request) -> web.Response:
        """
        Set the cookie, and redirect to the page that the link was on.

        Raises `BadRequest` for a language that the pages do not have.
        """
        chosen = request.query.getall("to", [])
        if len(chosen) != 1 or chosen[0] not in self._offered:
            raise BadRequest("to")
        wanted = request.query.getall("return_to", request.headers.getall(hdrs.REFERER, []))
        response = web.Response(status=303, headers={hdrs.LOCATION: self._return_to.only(wanted)})
        secure = "; Secure" if self._is_https else ""
        cookie = f"{COOKIE}={chosen[0]}; Path=/; Max-Age={_YEAR_S}; SameSite=Lax; HttpOnly{secure}"
        response.headers.add(hdrs.SET_COOKIE, cookie)
        return response
