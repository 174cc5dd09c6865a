"""The pages of signing out: the one that asks, and the one that says that it is done."""

from typing import Self

from aiohttp import web

from gateway.config import compile as compiled
from gateway.config.schema import Settings
from gateway.pages.caller import caller
from gateway.pages.html import HtmlPages, OnlyReturnTo
from gateway.pages.look import Look
from gateway.pages.own_origin import OwnOrigin
from gateway.pages.services import PageGroup, PageServices

_POLICY = "Content-Security-Policy"


class SignOutPages(PageGroup):
    """``GET /logout`` and ``/signed-out``. The first changes nothing: its button does."""

    def __init__(self, settings: Settings, look: Look, return_to: OnlyReturnTo) -> None:
        self._pages = HtmlPages(look, settings.magic.endpoint)
        self._own_origin = OwnOrigin(settings)
        self._return_to = return_to

    @classmethod
    def of(cls, services: PageServices) -> Self:
        settings = services.settings
        return cls(settings, services.error_pages.look, compiled.return_to(settings).only)

    async def ask(self, request: web.Request) -> web.Response:
        """Show the button that signs out; to a caller without a session, that there is none."""
        elsewhere = self._own_origin.redirect(request)
        if elsewhere is not None:
            return elsewhere
        identity = caller(request)
        if identity is None:
            return self._signed_out(request)
        wanted = request.query.getall("return_to", ())
        place = self._return_to(wanted) if wanted else ""
        response = self._pages.page_with_form(
            request,
            "logout.html",
            ("/logout", place),
            signed_in_as=identity.signed_in_as,
            return_to=place,
        )
        _allow_redirect(response, place)
        return response

    async def done(self, request: web.Request) -> web.Response:
        """Say that the session has ended, with the way back."""
        return self._signed_out(request)

    def _signed_out(self, request: web.Request) -> web.Response:
        place = self._return_to(request.query.getall("return_to", ()))
        return self._pages.page(
            request, "signed-out.html", return_to=place, at=("/signed-out", place)
        )


def _allow_redirect(response: web.Response, place: str) -> None:
    """Let the form lead to another site: Chromium holds its redirects to ``form-action``, too."""
    if not place or place.startswith("/"):
        return
    origin = "/".join(place.split("/", 3)[:3])
    policy = response.headers[_POLICY]
    response.headers[_POLICY] = policy.replace("form-action 'self'", f"form-action 'self' {origin}")
