"""What a config does with a request: the parts that are compared, and their texts."""

from ipaddress import ip_address
from typing import Any

import pytest

from gateway.config import compile as compiled
from gateway.config.diff_effect import Aspect, Side, forwarded_path
from gateway.config.schema import Settings
from gateway.core.route import Route
from gateway.pages.routes import page_routes
from gateway.routing.table import RouteTable

CLIENT = ip_address("198.51.100.1")


def side(route: dict[str, Any], **sections: object) -> Side:
    settings = Settings.model_validate(
        {
            "server": {"public_url": "https://a"},
            "redis": {"url": "redis://h"},
            "upstreams": {"app": {"servers": ["http://127.0.0.1:1"]}},
            "routes": [{"name": "r", "match": {"path": "/a/*"}, **route}],
            **sections,
        }
    )
    pages = page_routes(settings.server.prefix, ())
    return Side(settings, RouteTable(compiled.routes(settings), own_pages=pages))


def texts(route: dict[str, Any], **sections: object) -> dict[Aspect, str]:
    """Return the text of each part of a route."""
    found = side({"upstream": "app", **route}, **sections)
    met = found.route("a", "/a/b", "GET")
    assert isinstance(met, Route)
    return {aspect: part.text for aspect, part in found.parts(met).items()}


def test_a_route_with_defaults() -> None:
    """Each part has a text."""
    assert {
        "auth": "auth required (did-token, session)",
        "rules": "no rules",
        "app": "to app (http://127.0.0.1:1)",
        "upstream": "defaults",
        "limits": "no limits",
        "cors": "no other origins",
        "forwarding": "drops credentials; encoded slashes: refuse; upgrades: websocket;"
        " time-outs: 2s, 30s, 300s",
        "name": "r",
    } == texts({})


def test_a_route_with_all() -> None:
    """What is set is told."""
    told = texts(
        {
            "auth": "optional",
            "allow": [{"domains": ["a.org"], "methods": ["PUT"]}, {"emails": ["a@b.org"]}],
            "deny": {"auth_methods": ["did-token"]},
            "limits": ["few", "api", "one"],
            "cost": "from-answer",
            "rewrite": "/v2",
            "forward_credentials": True,
            "encoded_slashes": "keep",
            "upgrades": [],
            "cors": {"origins": ["https://b.org"], "credentials": True, "preflight": "pass"},
        },
        limits={
            "few": {"concurrent": 3},
            "api": {"rate": "1/second", "per": ["issuer", "ip"]},
            "one": {"rate": "1/day", "per": "route"},
        },
        upstreams={
            "app": {
                "servers": ["https://b.internal"],
                "host": "rewrite",
                "health": {"path": "/up"},
                "headers": {"pass": ["Remote-User"]},
            }
        },
        identity={"assertion": {}},
    )
    assert "auth optional (did-token, session)" == told[Aspect.AUTH]
    assert (
        "allow domains a.org and methods PUT or emails a@b.org; deny auth methods did-token"
        == told[Aspect.RULES]
    )
    assert "to app (https://b.internal:443), /a replaced by /v2, Host rewritten" == told[Aspect.APP]
    assert "health (path /up), headers (pass Remote-User)" == told[Aspect.UPSTREAM]
    assert told[Aspect.LIMITS].startswith("api (rate 1/second, per issuer/ip), few (")
    assert told[Aspect.LIMITS].endswith("one (rate 1/day, per route), cost from-answer")
    assert (
        "origins https://b.org, credentials of https://b.org, preflights to the app"
        == told[Aspect.CORS]
    )
    assert told[Aspect.FORWARDING].startswith(
        "forwards credentials; encoded slashes: keep; upgrades: none;"
    )


def test_cors_for_preflights_alone() -> None:
    """An app that writes its own fields needs no list of origins."""
    assert (
        "origins none, preflights to the app" == texts({"cors": {"preflight": "pass"}})[Aspect.CORS]
    )


def test_routes_without_an_app() -> None:
    """Forward-auth has none, and pages are the gateway's own."""
    found = side({})
    checked = found.route("a", "/a", "GET")
    assert isinstance(checked, Route)
    assert "checked for a proxy" == found.parts(checked)[Aspect.APP].text
    page = found.route("a", "/_gateway/login", "GET")
    assert isinstance(page, Route)
    assert "page of the gateway" == found.parts(page)[Aspect.APP].text
    assert not found.admits_anonymous(page, "GET", CLIENT)
    found = side({"allow": [{"roles": ["ops"]}]}, admin={"route": "r"})
    dashboard = found.route("a", "/a", "GET")
    assert isinstance(dashboard, Route)
    parts = found.parts(dashboard)
    assert "dashboard of the gateway" == parts[Aspect.APP].text
    assert "ops" in " ".join(part.text for part in parts.values())


@pytest.mark.parametrize(
    ("path", "method", "why"),
    [
        ("/b", "GET", "refused: no route"),
        ("/a", "PUT", "refused: no route of the path has the method"),
        ("/a", "BREW", "refused: no route of the path has the method"),
    ],
)
def test_requests_without_a_route(path: str, method: str, why: str) -> None:
    """The side says why, and no client gets in."""
    found = side({"match": {"path": "/a/*", "methods": ["GET"]}, "upstream": "app"})
    assert why == found.route("a", path, method)
    assert not found.admits_anonymous(why, method, CLIENT)


def test_a_method_that_is_not_known() -> None:
    """A route without methods takes those that the gateway knows."""
    found = side({"upstream": "app"})
    assert "refused: a method that is not known" == found.route("a", "/a", "BREW")


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        ({"auth": "required"}, False),
        ({"auth": "optional"}, True),
        ({"auth": "none"}, True),
        ({"auth": "optional", "allow": {"emails": ["a@b.org"]}}, False),
        ({"auth": "optional", "allow": {"networks": ["198.51.100.0/24"]}}, True),
        ({"auth": "none", "deny": {"networks": ["198.51.100.0/24"]}}, False),
    ],
)
def test_clients_without_credentials(route: dict[str, Any], *, expected: bool) -> None:
    """The rules of the route decide, as for a request."""
    found = side({"upstream": "app", **route})
    assert expected is found.admits_anonymous(found.route("a", "/a", "GET"), "GET", CLIENT)


@pytest.mark.parametrize(
    ("prefix", "new_prefix", "path", "expected"),
    [
        ("", "", "/a/b", "/a/b"),
        ("/a", "", "/a/b", "/b"),
        ("/a", "/v2", "/a", "/v2"),
        ("/b", "", "/a/b", None),
    ],
)
def test_paths_that_apps_see(prefix: str, new_prefix: str, path: str, expected: str | None) -> None:
    """None for a path that cannot be forwarded."""
    route = Route("r", "/*", "app", prefix=prefix, new_prefix=new_prefix)
    assert expected == forwarded_path(route, path)
