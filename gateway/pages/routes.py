"""The routes that lead to the gateway's own pages: ordinary ones, more specific than any other."""

from dataclasses import replace

from gateway.core.identity import AuthMethod
from gateway.core.limit import Limit
from gateway.core.route import Auth, Route

PAGES = "gateway pages"
"""The upstream of the pages; no name in a config can hold a space."""


def page_routes(prefix: str, limits: tuple[Limit, ...]) -> tuple[Route, ...]:
    """
    All requests under ``prefix``.

    Whoever signs in or asks who they are must be somebody; to sign out it is enough to have been.
    Programs may ask who they are, and no more.
    The files of the pages are not counted: a page is made of several, and they lie in memory.
    """

    def route(
        name: str, path: str, auth: Auth, *methods: str, limits: tuple[Limit, ...] = limits
    ) -> Route:
        return Route(
            name=f"gateway-{name}",
            path=prefix + path,
            upstream=PAGES,
            auth=auth,
            methods=frozenset(methods) or None,
            limits=limits,
            is_internal=True,
        )

    who_am_i = route("who-am-i", "/session", Auth.REQUIRED, "GET", "HEAD")
    sign_in = route("sign-in", "/session", Auth.REQUIRED, "POST")
    attempt = route("attempt", "/login/attempt", Auth.OPTIONAL, "POST")
    return (
        replace(sign_in, is_sign_in=True, forward_credentials=True),  # it reads the attachment
        replace(who_am_i, accept=frozenset(AuthMethod)),
        route("sign-out", "/session", Auth.OPTIONAL, "DELETE"),
        route("sign-out", "/logout", Auth.OPTIONAL, "POST"),
        route("login", "/login", Auth.OPTIONAL, "GET", "HEAD"),
        route("account", "/account", Auth.REQUIRED, "GET", "HEAD"),
        route("files", "/static/*", Auth.NONE, limits=()),
        replace(attempt, accept=frozenset({AuthMethod.SESSION})),
        route("sessions", "/sessions", Auth.REQUIRED, "GET", "HEAD"),
        route("end-session", "/sessions/*", Auth.REQUIRED, "DELETE"),
        route("pages", "/*", Auth.NONE),
        Route(  # its limits are those of the request that is asked about
            "gateway-verify",
            f"{prefix}/verify/*",
            upstream="",
            auth=Auth.NONE,
            keep_encoded_slashes=True,  # they are judged by the route that they lead to
            is_internal=True,
        ),
    )
