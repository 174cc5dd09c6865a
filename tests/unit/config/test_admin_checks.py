"""Checks of the private listener and of the route that leads to the dashboard."""

from collections.abc import Callable

import pytest

from gateway.config.admin_checks import ADMIN_CHECKS, admin_route
from gateway.config.compile import DASHBOARD, routes
from gateway.config.draft import Draft
from gateway.config.schema import Settings

Read = Callable[..., Settings]
Complain = Callable[..., list[str]]

OPS = '{name: ops, match: {path: "/ops/*"}, allow: {roles: [ops]}'


def _config(more: str = "", admin: str = "{route: ops}") -> str:
    return f"admin: {admin}\nroutes: [{OPS}{more}}}]"


def test_a_route_for_people_leads_to_the_dashboard(read: Read) -> None:
    """Which does not see the path that it lies below; no upstream and no proxy is needed."""
    [route] = routes(read(_config()))
    assert (DASHBOARD, True, "/ops") == (route.upstream, route.is_dashboard, route.hidden_prefix)
    [root] = routes(read(_config().replace("/ops/*", "/*")))
    assert ("", "") == (root.prefix, root.hidden_prefix)
    assert 90.0 == route.timeouts.response_s


@pytest.mark.parametrize(
    "rule",
    [
        "{roles: [ops]}",
        "{permissions: ['a:b']}",
        "{emails: [ada@example.com]}",
        "{emails: [ada@example.com], networks: [10.0.0.0/8]}",
        "[{roles: [ops]}, {domains: [example.com]}]",
        "{issuers: ['did:ethr:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed']}",
    ],
)
def test_rules_that_name_people(complaints: Complain, rule: str) -> None:
    """Any of them will do."""
    text = _config().replace("{roles: [ops]}", rule)
    roles = "identity: {permissions: {ops: ['a:b']}}\n"
    assert [] == complaints(roles + text)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param(", allow: {roles: [ops]}", "", "the dashboard needs allow", id="none"),
        pytest.param("{roles: [ops]}", "[]", "", id="empty"),
        pytest.param("{roles: [ops]}", "{networks: [10.0.0.0/8]}", "names no people", id="network"),
        pytest.param("{roles: [ops]}", "{methods: [GET]}", "names no people", id="method"),
        pytest.param(
            "{roles: [ops]}",
            "[{roles: [ops]}, {networks: [10.0.0.0/8]}]",
            "names no people",
            id="one",
        ),
        pytest.param("allow:", "auth: optional, allow:", "needs auth: required", id="optional"),
        pytest.param("allow:", "auth: none, deny:", "needs auth: required", id="public"),
        pytest.param("allow:", "upstream: app, allow:", "takes its place", id="upstream"),
        pytest.param("/*", "", "ends in /*", id="exact"),
        pytest.param('"}', '", methods: [GET]}', "not for the dashboard", id="methods"),
        pytest.param("allow:", "strip_prefix: /ops, allow:", "not for the", id="strip"),
        pytest.param("allow:", "rewrite: /, allow:", "not for the dashboard", id="rewrite"),
        pytest.param("allow:", "forward_credentials: true, allow:", "not for", id="credentials"),
        pytest.param("allow:", "cost: from-answer, allow:", "not for the dashboard", id="cost"),
        pytest.param(
            "allow:", "cors: {origins: ['https://a.example']}, allow:", "not for", id="cors"
        ),
        pytest.param("{route: ops}", "{route: other}", "no such route", id="unknown"),
    ],
)
def test_the_dashboard_is_not_made_public_by_mistake(
    complaints: Complain, old: str, new: str, expected: str
) -> None:
    """The config is refused."""
    assert any(expected in each for each in complaints(_config().replace(old, new, 1)))


@pytest.mark.parametrize(
    ("admin", "expected"),
    [
        ("{tls: {certificate: a, key: b}}", []),
        ("{tls: {certificate: a, key: b, client_ca: c, names: ['*@a.example']}}", []),
        (
            "{tls: {certificate: a, key: b, client_ca: c}}",
            ["admin.tls.client_ca: client_ca and names are needed together"],
        ),
        (
            "{tls: {certificate: a, key: b, names: ['*@a.example']}}",
            ["admin.tls.names: client_ca and names are needed together"],
        ),
        (
            "{listen: 'unix:/run/a.sock', tls: {certificate: a, key: b}}",
            ["admin.tls: not on a unix socket: remove it, or listen on host:port"],
        ),
        ("{listen: 'unix:/run/a.sock'}", []),
        ("{listen: 'unix:run/a.sock'}", ["admin.listen: expected unix:/path of a socket"]),
        (
            "{listen: '9090'}",
            ["admin.listen: expected host:port such as 127.0.0.1:9090, or unix:/path"],
        ),
        ("{tls: {certificate: a}}", ["admin.tls.key: required"]),
    ],
)
def test_where_it_listens(complaints: Complain, admin: str, expected: list[str]) -> None:
    """Over TCP, TLS or a unix socket."""
    told = [each.partition(": ")[2] for each in complaints(f"admin: {admin}")]
    assert expected == told


def test_only_the_named_route_is_the_dashboard() -> None:
    """Without `admin.route`, none is."""
    listed = [{"name": "a"}, {"name": "ops"}]
    assert ("routes", 1) == admin_route(Draft({"admin": {"route": "ops"}, "routes": listed}))
    for admin in (None, {}, {"route": ""}, {"route": 1}):
        assert admin_route(Draft({"admin": admin, "routes": [*listed, {}]})) is None


def test_each_code_is_given_once() -> None:
    """Programs know problems by it."""
    codes = [check.code for check in ADMIN_CHECKS]
    assert len(set(codes)) == len(codes)
