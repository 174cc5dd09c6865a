"""The pages that people see: signing in, the way back from an email, the account."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

from aiohttp import hdrs, web
from jinja2 import Environment, PackageLoader, StrictUndefined

from gateway.config.schema import Settings
from gateway.core.errors import Unauthenticated
from gateway.pages import branding
from gateway.pages.assets import Assets
from gateway.pages.caller import caller

OnlyReturnTo = Callable[[Sequence[str]], str]
"""Where the values of ``return_to`` in a query lead: a safe place, whatever they are."""


class LoginPages:
    """``GET /login``, ``/callback`` and ``/account``, and the files that they are made of."""

    def __init__(self, settings: Settings, return_to: OnlyReturnTo) -> None:
        """Raises `StartError` where the logo cannot be used."""
        self._prefix = settings.server.prefix
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

    def routes(self, prefix: str) -> list[web.RouteDef]:
        """The pages under ``prefix``."""
        return [
            web.get(f"{prefix}/login", self.login),
            web.get(f"{prefix}/callback", self.callback),
            web.get(f"{prefix}/account", self.account),
            *self._assets.routes(prefix),
        ]

    async def login(self, request: web.Request) -> web.Response:
        """The form; whoever is signed in already is led on."""
        asked = request.query.getall("return_to", ())
        if caller(request) is not None:
            place = self._return_to(asked) if asked else f"{self._prefix}/account"
            return web.Response(status=303, headers={hdrs.LOCATION: place})
        return self._page("login.html", return_to=self._return_to(asked))

    async def callback(self, _: web.Request) -> web.Response:
        """Where the link in an email leads; all else is between the page's script and Magic."""
        return self._page("callback.html")

    async def account(self, request: web.Request) -> web.Response:
        """Who one is, and where one is signed in."""
        identity = caller(request)
        if identity is None:
            raise Unauthenticated("no identity")
        until = datetime.fromtimestamp(identity.expires_at_ms / 1000, tz=UTC)
        response = self._page("account.html", user=identity.user, until=until)
        # Browsers say ``Origin: null`` for forms of pages with no-referrer (Fetch section 3.2).
        response.headers[hdrs.REFERRER_POLICY] = "same-origin"
        return response

    def _page(self, template: str, **values: object) -> web.Response:
        text = _templates().get_template(template).render(**self._known, **values)
        return web.Response(text=text, content_type="text/html", headers=self._security)


def security_fields(endpoint: str) -> dict[str, str]:
    """
    What browsers are told about our pages: our own files alone, and Magic's frame.

    The policy was tried with the SDK as it is: it sets styles through the CSSOM, which needs no
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
