"""The HTML pages of signing in: login, and the target of the link in an email; and the files."""

from typing import Self

from aiohttp import hdrs, web

from gateway.config import compile as compiled
from gateway.config.schema import Settings
from gateway.pages.caller import caller
from gateway.pages.html import HtmlPages, OnlyReturnTo
from gateway.pages.look import Look
from gateway.pages.own_origin import OwnOrigin
from gateway.pages.services import PageGroup, PageServices


class LoginPages(PageGroup):
    """``GET /login`` and ``/callback``, and the files that all pages load."""

    def __init__(self, settings: Settings, look: Look, return_to: OnlyReturnTo) -> None:
        self._prefix = settings.server.prefix
        self._own_origin = OwnOrigin(settings)
        self._return_to = return_to
        self._assets = look.assets
        self._pages = HtmlPages(look, settings.magic.endpoint)

    @classmethod
    def of(cls, services: PageServices) -> Self:
        settings = services.settings
        return cls(settings, services.error_pages.look, compiled.return_to(settings).only)

    async def login(self, request: web.Request) -> web.Response:
        """Show the form, or redirect a caller who is signed in already or came by another name."""
        elsewhere = self._own_origin.redirect(request)
        if elsewhere is not None:
            return elsewhere
        wanted = request.query.getall("return_to", ())
        if caller(request) is not None:
            place = self._return_to(wanted) if wanted else f"{self._prefix}/account"
            return web.Response(status=303, headers={hdrs.LOCATION: place})
        place = self._return_to(wanted)
        return self._pages.page(request, "login.html", ("/login", place), return_to=place)

    async def callback(self, request: web.Request) -> web.Response:
        """Show the target of the link in an email; its script does the rest with Magic."""
        return self._pages.page(request, "callback.html")

    async def file(self, request: web.Request) -> web.Response:
        """Serve a file of the pages by its versioned name; see `Assets.serve`."""
        return self._assets.serve(request)

    async def renewal(self, request: web.Request) -> web.Response:
        """Serve the module that apps include; see `Assets.serve_renewal`."""
        return self._assets.serve_renewal(request)
