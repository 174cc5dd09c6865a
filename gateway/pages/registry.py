"""
The list of the gateway's own pages.

To add a page, write a `PageGroup` in a file of its own and add a line to `OWN_PAGES`. The router
(`serving`), the routes (`gateway.pages.routes`), docs/login-api.md and the tests read this list.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Literal, NamedTuple

from aiohttp import web

from gateway.config.credentials import AUTH_METHODS
from gateway.core.identity import INTERACTIVE_METHODS, AuthMethod
from gateway.core.route import Auth
from gateway.pages.app import PagesServer, make_app
from gateway.pages.attempt import AttemptPages
from gateway.pages.development import DevelopmentPages
from gateway.pages.keys import KeyPages
from gateway.pages.language import LanguagePages
from gateway.pages.locks import LockPages
from gateway.pages.login import LoginPages
from gateway.pages.refused import RefusedPages
from gateway.pages.services import PageGroup, PageServices
from gateway.pages.session import SessionPages
from gateway.pages.sessions import OwnSessionsPages
from gateway.pages.sign_out import SignOutPages

PageHandler = Callable[[Any, web.Request], Awaitable[web.StreamResponse]]
"""A method of a `PageGroup`, unbound."""

CATCH_ALL = "pages"
"""The route of pages that take no credential and need no route of their own."""

_ALL = frozenset(AUTH_METHODS)
_SESSION = frozenset({AuthMethod.SESSION})
_API_KEY = frozenset({AuthMethod.API_KEY})


class Page(NamedTuple):
    """One page, and the route that leads to it."""

    route: str
    """Name of the route, without the prefix ``gateway-``; pages may share it."""
    method: str
    """``GET`` stands for ``HEAD`` as well."""
    path: str
    """Below `server.prefix`, in the notation of aiohttp's router."""
    group: type[PageGroup]
    handler: PageHandler
    answer: Literal["HTML", "JSON", "text", "file", "none"]
    auth: Auth
    """Whether the page needs a session or another credential that ``accept`` lists."""
    accept: frozenset[AuthMethod] = INTERACTIVE_METHODS
    is_limited: bool = True
    """Whether the limit named ``default`` counts its requests."""
    is_sign_in: bool = False
    scope: str = ""
    """The scope that the credential must have; empty where none is asked for."""
    condition: str = ""
    """When the page is there, in words; empty for always."""


_DEVELOPMENT = "in development mode"
_ASSERTIONS = "with `identity.assertion`"
_API_KEYS = "with `credentials.api_keys`"

# fmt: off
OWN_PAGES = (
    Page("sign-in", "POST", "/session", SessionPages, SessionPages.exchange, "JSON", Auth.REQUIRED, is_sign_in=True),
    Page("who-am-i", "GET", "/session", SessionPages, SessionPages.who_am_i, "JSON", Auth.REQUIRED, _ALL),
    Page("sign-out", "DELETE", "/session", SessionPages, SessionPages.log_out, "none", Auth.OPTIONAL),
    Page("sign-out", "POST", "/logout", SessionPages, SessionPages.log_out, "none", Auth.OPTIONAL),
    Page("logout", "GET", "/logout", SignOutPages, SignOutPages.ask, "HTML", Auth.OPTIONAL),
    Page(CATCH_ALL, "GET", "/signed-out", SignOutPages, SignOutPages.done, "HTML", Auth.NONE),
    Page(CATCH_ALL, "GET", "/language", LanguagePages, LanguagePages.switch, "none", Auth.NONE),
    Page("refused", "GET", "/refused/{status}", RefusedPages, RefusedPages.show, "HTML", Auth.OPTIONAL),
    Page("login", "GET", "/login", LoginPages, LoginPages.login, "HTML", Auth.OPTIONAL),
    Page("account", "GET", "/account", OwnSessionsPages, OwnSessionsPages.account, "HTML", Auth.REQUIRED),
    Page(CATCH_ALL, "GET", "/callback", LoginPages, LoginPages.callback, "HTML", Auth.NONE),
    # A page consists of several files, all in memory: a limit would count one visit many times.
    Page("files", "GET", "/static/renew.js", LoginPages, LoginPages.renewal, "file", Auth.NONE, is_limited=False),
    Page("files", "GET", "/static/{version}/{name:.+}", LoginPages, LoginPages.file, "file", Auth.NONE, is_limited=False),
    Page("attempt", "POST", "/login/attempt", AttemptPages, AttemptPages.begin, "JSON", Auth.OPTIONAL, _SESSION),
    Page("sessions", "GET", "/sessions", OwnSessionsPages, OwnSessionsPages.show, "JSON", Auth.REQUIRED),
    Page("end-session", "DELETE", "/sessions/{id}", OwnSessionsPages, OwnSessionsPages.end, "none", Auth.REQUIRED),
    Page("locks", "POST", "/locks/{name}", LockPages, LockPages.act, "JSON", Auth.REQUIRED, _API_KEY, scope="locks", condition=_API_KEYS),
    Page(CATCH_ALL, "GET", "/jwks.json", KeyPages, KeyPages.keys, "JSON", Auth.NONE, condition=_ASSERTIONS),
    Page(CATCH_ALL, "POST", "/development/token", DevelopmentPages, DevelopmentPages.mint, "text", Auth.NONE, condition=_DEVELOPMENT),
)
# fmt: on
"""All pages. A request is led to the most specific route, so that the order decides nothing."""


@asynccontextmanager
async def serving(services: PageServices) -> AsyncIterator[PagesServer]:
    """Serve all pages of one config until the context ends. Raises `StartError`."""
    async with AsyncExitStack() as stack:
        groups: dict[type[PageGroup], PageGroup | None] = {}
        for kind in dict.fromkeys(page.group for page in OWN_PAGES):
            groups[kind] = group = kind.of(services)
            if group is not None:
                stack.push_async_callback(group.aclose)
        server = PagesServer(
            make_app(_routes(groups, services.settings.server.prefix), services.error_pages)
        )
        await server.start()
        stack.push_async_callback(server.stop)
        yield server


def _routes(
    groups: dict[type[PageGroup], PageGroup | None], prefix: str
) -> list[web.AbstractRouteDef]:
    add = {"GET": web.get, "POST": web.post, "DELETE": web.delete}
    return [
        add[page.method](prefix + page.path, partial(page.handler, group))
        for page in OWN_PAGES
        if (group := groups[page.group]) is not None
    ]
