"""The routes that lead to the gateway's own pages: more specific than any other route."""

from gateway.core.limit import Limit
from gateway.core.route import Auth, Route, Rule
from gateway.pages import registry
from gateway.pages.registry import CATCH_ALL, Page

PAGES = "gateway pages"
"""The upstream of the pages; no name in a config can hold a space."""


def page_routes(
    prefix: str, limits: tuple[Limit, ...], identity_limits: tuple[Limit, ...] = ()
) -> tuple[Route, ...]:
    """
    Make the routes of all requests under ``prefix``, from the list of pages.

    Signing in and asking for one's identity need a valid credential; signing out takes an ended
    session too. API keys and JWTs may ask for their identity; API keys may use locks, with a scope.
    """
    own = [page for page in registry.OWN_PAGES if page.route != CATCH_ALL]
    return (
        *(_route(page, prefix, limits, identity_limits) for page in own),
        Route(
            name=f"gateway-{CATCH_ALL}",
            path=f"{prefix}/*",
            upstream=PAGES,
            auth=Auth.NONE,
            limits=limits,
            identity_limits=identity_limits,
            is_internal=True,
        ),
        Route(  # its limits are those of the request that is asked about
            "gateway-verify",
            f"{prefix}/verify/*",
            upstream="",
            auth=Auth.NONE,
            # The route that they lead to judges both.
            takes_any_method=True,
            keep_encoded_slashes=True,
            is_internal=True,
        ),
    )


def _route(
    page: Page, prefix: str, limits: tuple[Limit, ...], identity_limits: tuple[Limit, ...]
) -> Route:
    methods = {page.method, "HEAD"} if page.method == "GET" else {page.method}
    return Route(
        name=f"gateway-{page.route}",
        path=prefix + _path(page),
        upstream=PAGES,
        auth=page.auth,
        accept=page.accept,
        # Without a credential there is nothing to decide by method: the page answers 405.
        methods=None if page.auth is Auth.NONE else frozenset(methods),
        limits=limits if page.is_limited else (),
        identity_limits=identity_limits if page.is_limited else (),
        is_internal=True,
        is_sign_in=page.is_sign_in,
        allow=(Rule(scopes=frozenset({page.scope})),) if page.scope else (),
        forward_credentials=page.is_sign_in,  # the page reads the token's attachment
    )


def _path(page: Page) -> str:
    """Path of the route: a prefix from the first placeholder on."""
    start, brace, _ = page.path.partition("{")
    return f"{start}*" if brace else start
