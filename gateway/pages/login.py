"""The HTML pages: login, the target of the link in an email, the account; and their files."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, Self

from aiohttp import hdrs, web
from jinja2 import Environment, PackageLoader, StrictUndefined

from gateway.config import compile as compiled
from gateway.config.schema import Settings
from gateway.pages import branding
from gateway.pages.assets import Assets
from gateway.pages.caller import caller, require_caller
from gateway.pages.own_origin import OwnOrigin
from gateway.pages.services import PageGroup, PageServices

OnlyReturnTo = Callable[[Sequence[str]], str]
"""Open redirect: maps the values of ``return_to`` in a query to a safe place."""


class LoginPages(PageGroup):
    """``GET /login``, ``/callback`` and ``/account``, and the files that they load."""

    def __init__(self, settings: Settings, return_to: OnlyReturnTo) -> None:
        """Raises `StartError` where the logo cannot be used."""
        self._prefix = settings.server.prefix
        self._own_origin = OwnOrigin(settings)
        self._return_to = return_to
        made = branding.made_files(settings)
        self._assets = Assets(made)
        base = f"{self._prefix}/static/{self._assets.version}"
        logos = [f"{base}/{name}" for name in made if name.startswith("logo.")]
        self._known: Mapping[str, Any] = {
            "base": base,
            "prefix": self._prefix,
            "lang": settings.login.lang,
            "name": branding.name(settings),
            "logo": logos[0] if logos else "",
            "methods": settings.login.methods,
            "texts": branding.texts(settings),
            "is_development": settings.magic.mode == "development",
            "is_set_up": bool(settings.magic.publishable_key)
            or settings.magic.mode == "development",
        }
        self._security = security_fields(settings.magic.endpoint)

    @classmethod
    def of(cls, services: PageServices) -> Self:
        return cls(services.settings, compiled.return_to(services.settings).only)

    async def login(self, request: web.Request) -> web.Response:
        """Show the form, or redirect a caller who is signed in already or came by another name."""
        elsewhere = self._own_origin.redirect(request)
        if elsewhere is not None:
            return elsewhere
        wanted = request.query.getall("return_to", ())
        if caller(request) is not None:
            place = self._return_to(wanted) if wanted else f"{self._prefix}/account"
            return web.Response(status=303, headers={hdrs.LOCATION: place})
        return self._page("login.html", return_to=self._return_to(wanted))

    async def callback(self, _: web.Request) -> web.Response:
        """Show the target of the link in an email; its script does the rest with Magic."""
        return self._page("callback.html")

    async def account(self, request: web.Request) -> web.Response:
        """Show the caller's identity and sessions."""
        elsewhere = self._own_origin.redirect(request)
        if elsewhere is not None:
            return elsewhere
        identity = require_caller(request)
        until = datetime.fromtimestamp(identity.expires_at_ms / 1000, tz=UTC)
        response = self._page("account.html", user=identity.user, until=until)
        # Browsers send ``Origin: null`` for forms of pages with no-referrer (Fetch section 3.2).
        response.headers[hdrs.REFERRER_POLICY] = "same-origin"
        return response

    async def file(self, request: web.Request) -> web.Response:
        """Serve a file of the pages by its versioned name; see `Assets.serve`."""
        return self._assets.serve(request)

    async def renewal(self, request: web.Request) -> web.Response:
        """Serve the module that apps include; see `Assets.serve_renewal`."""
        return self._assets.serve_renewal(request)

    def _page(self, template: str, **values: object) -> web.Response:
        text = _templates().get_template(template).render(**self._known, **values)
        return web.Response(text=text, content_type="text/html", headers=self._security)


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


@cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("gateway.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
