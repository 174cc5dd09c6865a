"""Settings to routes."""

from collections.abc import Callable

import pytest

from gateway.config.compile import routes
from gateway.config.schema import Settings
from gateway.messages import Auth, Limit, Route

Read = Callable[..., Settings]

DEFAULT = Limit("default", rate=300, window_s=60)
SLOW = Limit("slow", rate=5, window_s=900, on_store_failure="closed")
LIMITS = (
    "limits: {default: {rate: 300/minute}, slow: {rate: 5/15minutes, on_store_failure: closed}}\n"
)


def test_routes_keep_their_order_and_all_they_say(read: Read) -> None:
    """Every word of a route reaches the journey, in the order of the file."""
    settings = read(
        LIMITS
        + """\
routes:
  - name: api
    match: {host: App.Example.com, path: "/api/*", methods: [GET, POST]}
    auth: optional
    limits: [slow, default]
    upstream: app
    forward_credentials: true
    encoded_slashes: keep
    upgrades: [WebSocket, chat/2]
  - {name: rest, match: {path: "/*"}, upstream: app}
"""
    )
    assert routes(settings) == (
        Route(
            "api",
            "/api/*",
            "app",
            auth=Auth.OPTIONAL,
            host="app.example.com",
            methods=frozenset({"GET", "HEAD", "POST"}),
            limits=(SLOW, DEFAULT),
            forward_credentials=True,
            keep_encoded_slashes=True,
            upgrades=frozenset({"websocket", "chat/2"}),
        ),
        Route("rest", "/*", "app", limits=(DEFAULT,), upgrades=frozenset({"websocket"})),
    )


@pytest.mark.parametrize(
    ("limits", "named", "expected"),
    [
        pytest.param(LIMITS, "", (DEFAULT,), id="the-default-limit-for-a-route-that-names-none"),
        pytest.param(LIMITS, ", limits: []", (), id="no-limit-for-a-route-that-wants-none"),
        pytest.param(LIMITS, ", limits: [slow]", (SLOW,), id="named-limits-alone"),
        pytest.param("limits: {}\n", "", (), id="no-default-limit-unless-there-is-one"),
    ],
)
def test_limits(read: Read, limits: str, named: str, expected: tuple[Limit, ...]) -> None:
    """A limit named default is for the routes that say nothing about limits."""
    text = f"{limits}routes: [{{name: a, match: {{path: /a}}, upstream: app{named}}}]"
    (route,) = routes(read(text))
    assert expected == route.limits
