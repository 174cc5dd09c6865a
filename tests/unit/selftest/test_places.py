"""The oracle: which protected place a request reaches, as apps read it."""

import pytest

from gateway.config.load import parse
from gateway.config.schema import Settings
from gateway.selftest.places import Places
from gateway.selftest.recorder import ArrivedRequest
from tests.unit.selftest.bad_configs import ADMIN, REST, config, public


def settings_of(routes: str) -> Settings:
    """A whole config with these routes."""
    return parse(config(routes), "x", {}, lambda path: path)


def arrived(target: str, method: str = "GET", host: str = "app.example.com") -> ArrivedRequest:
    """A request without a caller at the server of the app."""
    return ArrivedRequest("app", method, target, (("Host", host),), b"", b"")


def breach(routes: str, request: ArrivedRequest) -> tuple[str, str] | None:
    """The way and the route of what ``request`` reaches."""
    places = Places(settings_of(routes))
    found = places.breach(request, [place.route for place in places.protected])
    return None if found is None else (found.way, found.place.route.name)


@pytest.mark.parametrize(
    ("routes", "target", "expected"),
    [
        (public("/assets/*") + REST, "/assets/x", None),
        (public("/assets/*") + REST, "/assets/X.json", None),
        (public("/assets/*") + REST, "/x", ("", "rest")),
        (public("/*") + ADMIN, "/x", None),
        (public("/*") + ADMIN, "/ADMIN/x", ("case", "admin")),
        (public("/*") + ADMIN, "/administration", None),
        (public("/*") + ADMIN, "/x/../admin", ("dot-segments", "admin")),
        (public("/admin/help", name="help") + ADMIN, "/admin/help", None),
        (public("/pub/*", ", strip_prefix: /pub") + ADMIN, "/admin/x", ("strip-prefix", "admin")),
        (public("/old/*", ", rewrite: /admin") + ADMIN, "/admin/x", ("rewrite", "admin")),
    ],
)
def test_breach(routes: str, target: str, expected: tuple[str, str] | None) -> None:
    """The most specific place of a path counts, in each way of reading it."""
    assert expected == breach(routes, arrived(target))


def test_only_a_host_that_clients_choose_reaches_the_place_of_another() -> None:
    """Two sites of one app are two; a route of any host is all of them."""
    private = '  - {name: admin, match: {host: a.example, path: "/admin/*"}, upstream: app}\n'
    named = '  - {name: b, match: {host: b.example, path: "/*"}, auth: none, upstream: app}\n'
    assert breach(private + named, arrived("/admin/x", host="b.example")) is None
    assert ("other-host", "admin") == breach(
        private + public("/*"), arrived("/admin/x", host="c.example:8080")
    )


def test_methods() -> None:
    """A route that protects a method that changes something means those that are not listed."""
    private = '  - {name: a, match: {path: "/a/*", methods: [POST]}, upstream: app}\n'
    assert ("other-method", "a") == breach(private + public("/a/*"), arrived("/a/x", "PUT"))
    assert breach(private + public("/a/*"), arrived("/a/x", "GET")) is None
    listed = '  - {name: b, match: {path: "/a/*", methods: [PUT]}, auth: none, upstream: app}\n'
    assert breach(private + listed, arrived("/a/x", "PUT")) is None
