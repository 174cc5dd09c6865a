"""HTML answers of the pages, and the switch of their language."""

from collections.abc import Callable, Sequence
from urllib.parse import quote

from aiohttp import hdrs, web

from gateway.pages.languages import choose
from gateway.pages.look import Look

OnlyReturnTo = Callable[[Sequence[str]], str]
"""Open redirect: maps the values of ``return_to`` in a query to a safe place."""


class HtmlPages:
    """Renders the pages of one config, each in the language of its visitor."""

    def __init__(self, look: Look, endpoint: str) -> None:
        self._look = look
        self._security = security_fields(endpoint)

    def page(
        self, request: web.Request, template: str, at: tuple[str, str] = ("", ""), **values: object
    ) -> web.Response:
        """
        Render ``template``.

        ``at`` is the path of the page below the prefix and its ``return_to``, for the switch of the
        language to lead back to; where it is empty, that goes by ``Referer``.
        """
        path, place = at
        query = f"?return_to={quote(place)}" if place else ""
        back = f"{self._look.prefix}{path}{query}" if path else ""
        language = choose(request.headers, self._look.offered)
        text = self._look.render([template], language, back=back, **values)
        fields = {**self._security, hdrs.CONTENT_LANGUAGE: language}
        return web.Response(text=text, content_type="text/html", headers=fields)

    def page_with_form(
        self, request: web.Request, template: str, at: tuple[str, str], **values: object
    ) -> web.Response:
        """
        Render ``template``, as `page` does, for a form that is sent without a script.

        From pages with ``no-referrer``, browsers send ``Origin: null`` (Fetch section 3.2).
        """
        response = self.page(request, template, at, **values)
        response.headers[hdrs.REFERRER_POLICY] = "same-origin"
        return response


def security_fields(endpoint: str) -> dict[str, str]:
    """
    Security fields of the HTML pages: they load only their own files, and Magic's frame.

    Magic's SDK works with this policy: it sets styles through the CSSOM, which needs no
    ``unsafe-inline``.
    """
    policy = (
        "default-src 'none'; script-src 'self'; connect-src 'self'; "
        f"frame-src {endpoint}; style-src 'self'; img-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": (
            "camera=(), geolocation=(), microphone=(), payment=(), usb=(), "
            f'clipboard-read=(self "{endpoint}"), clipboard-write=(self "{endpoint}"), '
            f'publickey-credentials-get=(self "{endpoint}")'
        ),
        hdrs.REFERRER_POLICY: "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }
