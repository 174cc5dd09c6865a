"""Differences of two configs: by what requests meet."""

import os
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.authz.rules import Permissions
from gateway.config import compile as compiled
from gateway.config.diff import Difference, Kind, cells_of, diff
from gateway.config.diff_effect import Side
from gateway.config.diff_space import Cells
from gateway.config.schema import Settings
from gateway.core.errors import Refusal
from gateway.core.request import Client
from gateway.core.route import Auth, Route
from gateway.pages.routes import page_routes
from gateway.routing.resolver import RouteResolver
from gateway.routing.table import RouteTable
from gateway.routing.target import alternative_paths, canonical_target
from tests.fakes.heads import request_head

PUBLIC_HOST = "app.example.com"
Entry = dict[str, Any]


class Compiled:
    """A config, its routes, and the resolver that requests really take."""

    def __init__(self, routes: list[Entry], **sections: object) -> None:
        self.settings = Settings.model_validate(
            {
                "server": {"public_url": f"https://{PUBLIC_HOST}"},
                "redis": {"url": "redis://h"},
                "upstreams": {
                    name: {"servers": [f"http://127.0.0.1:{port}"]}
                    for name, port in (("app", 1), ("other", 2))
                },
                "limits": {"default": {"rate": "300/minute"}, "few": {"rate": "5/minute"}},
                "routes": routes,
                **sections,
            }
        )
        pages = page_routes(self.settings.server.prefix, ())
        self.routes = (*compiled.routes(self.settings), *pages)
        table = RouteTable(compiled.routes(self.settings), own_pages=pages)
        self.side = Side(self.settings, table)
        self._resolver = RouteResolver(table, PUBLIC_HOST)

    def meets(self, method: str, host: str, path: str) -> tuple[Route, str] | None:
        """Return the route that takes a request, and the path that its app sees."""
        try:
            found = self._resolver.resolve(request_head(method=method, target=path, host=host))
        except Refusal:
            return None
        return found.route, found.forwarded.path

    def place(self, method: str, host: str, path: str) -> tuple[str, str] | None:
        """Return the app that gets a request, and the path that it sees."""
        met = self.meets(method, host, path)
        return None if met is None else (met[0].upstream, met[1])

    def effect(self, method: str, host: str, path: str) -> object:
        """Return all that the routes say of a request, as it is compiled."""
        met = self.meets(method, host, path)
        if met is None:
            return None
        route, forwarded = met
        return (
            *(route.name, forwarded, route.upstream, route.auth, route.limits, route.cost),
            *(None if route.auth is Auth.NONE else route.accept, route.cors),
            *(frozenset(route.allow), frozenset(route.deny), route.forward_credentials),
            route.keep_encoded_slashes,
        )

    def lets_in(self, method: str, host: str, path: str, client: str) -> bool:
        """Whether an app gets a request without credentials."""
        met = self.meets(method, host, path)
        if met is None or met[0].is_internal or met[0].auth is Auth.REQUIRED:
            return False
        try:
            Permissions().enforce(met[0], None, Client(ip_address(client), "", ""), method)
        except Refusal:
            return False
        return True


def compare(old: Compiled, new: Compiled) -> tuple[list[Difference], Cells]:
    cells = cells_of(old.side, new.side, (*old.routes, *new.routes))
    return diff(old.side, new.side, cells), cells


def route(name: str, path: str, more: Mapping[str, object] | None = None, **match: object) -> Entry:
    return {"name": name, "match": {"path": path, **match}, "upstream": "app", **(more or {})}


REST = route("rest", "/*")
STAFF = {"allow": [{"domains": ["example.com"]}]}
URL = f"https://{PUBLIC_HOST}"


@pytest.mark.parametrize(
    ("old", "new", "kind", "request_"),
    [
        pytest.param(
            [REST], [REST, route("a", "/a", {"auth": "none"})], Kind.PUBLIC, f"GET {URL}/a",
            id="a-public-route",
        ),
        pytest.param(
            [], [route("a", "/a/*", {"auth": "optional"})], Kind.PUBLIC, f"GET {URL}/a/x",
            id="optional-lets-in-callers-without-credentials",
        ),
        pytest.param(
            [route("a", "/a", {"auth": "none"}, methods=["GET"])],
            [route("a", "/a", {"auth": "none"})],
            Kind.PUBLIC, f"POST {URL}/a", id="more-methods",
        ),
        pytest.param(
            [route("a", "/a", {"auth": "none", "deny": [{"networks": ["10.0.0.0/8"]}]})],
            [route("a", "/a", {"auth": "none", "deny": [{"networks": ["10.0.0.0/9"]}]})],
            Kind.PUBLIC, f"GET {URL}/a from 10.128.0.0", id="to-a-network",
        ),
        pytest.param(
            [route("a", "/a", {"auth": "none"})],
            [route("a", "/a", {"auth": "none", "deny": [{"networks": ["10.0.0.0/8"]}]})],
            Kind.PROTECTED, f"GET {URL}/a from 10.0.0.0", id="from-a-network",
        ),
        pytest.param(
            [route("a", "/a", {"auth": "none", "deny": [{"networks": ["ff00::/8"]}]})],
            [route("a", "/a", {"auth": "none"})],
            Kind.PUBLIC, f"GET {URL}/a from ff00::", id="the-last-network",
        ),
        pytest.param(
            [route("a", "/a", {"auth": "none"})], [route("a", "/a")], Kind.PROTECTED,
            f"GET {URL}/a", id="no-longer-public",
        ),
        pytest.param(
            [REST], [REST, route("b", "/b", {"auth": "none"}, host="b.example.com")], Kind.PUBLIC,
            "GET https://b.example.com/b", id="on-a-host",
        ),
        pytest.param(
            [REST], [REST, route("b", "/b", {"auth": "none"}, host="*.example.org")], Kind.PUBLIC,
            "GET https://any.example.org/b", id="on-a-wildcard",
        ),
        pytest.param([], [REST], Kind.ADDED, f"GET {URL}/x", id="a-protected-route"),
        pytest.param([REST], [], Kind.REMOVED, f"GET {URL}/x", id="no-route"),
        pytest.param(
            [REST], [route("rest", "/*", {"accept": ["session"]})], Kind.AUTH, f"GET {URL}/x",
            id="fewer-kinds-of-credentials",
        ),
        pytest.param(
            [route("a", "/*", {"auth": "none"})], [route("a", "/*", {"auth": "optional"})],
            Kind.AUTH, f"GET {URL}/x", id="checked-where-there-are-any",
        ),
        pytest.param(
            [REST], [route("rest", "/*", STAFF)], Kind.RULES, f"GET {URL}/x", id="rules"
        ),
        pytest.param(
            [REST], [route("rest", "/*", {"upstream": "other"})], Kind.REROUTED, f"GET {URL}/x",
            id="another-app",
        ),
        pytest.param(
            [route("a", "/a/*")], [route("a", "/a/*", {"strip_prefix": "/a"})], Kind.REROUTED,
            f"GET {URL}/a/x", id="strip-prefix",
        ),
        pytest.param(
            [REST], [route("rest", "/*", {"limits": ["few"]})], Kind.LIMITS, f"GET {URL}/x",
            id="limits",
        ),
        pytest.param(
            [REST], [route("rest", "/*", {"cors": {"origins": ["https://b.example"]}})], Kind.CORS,
            f"GET {URL}/x", id="cors",
        ),
        pytest.param(
            [REST], [route("rest", "/*", {"forward_credentials": True})], Kind.FORWARDING,
            f"GET {URL}/x", id="forwarding",
        ),
        pytest.param([REST], [route("new", "/*")], Kind.RENAMED, f"GET {URL}/x", id="name"),
    ],
)  # fmt: skip
def test_one_change(old: list[Entry], new: list[Entry], kind: Kind, request_: str) -> None:
    """It is one line, with the request that proves it."""
    lines, _ = compare(Compiled(old), Compiled(new))
    assert [(kind, request_)] == [(line.kind, line.request) for line in lines]
    assert lines[0].old != lines[0].new


@pytest.mark.parametrize(
    ("before", "after", "kinds"),
    [
        ({"auth": "none"}, {"auth": "none", "upstream": "other"}, {Kind.PUBLIC}),
        ({"auth": "none"}, {"auth": "optional", "rewrite": "/admin"}, {Kind.AUTH, Kind.PUBLIC}),
        ({}, {"rewrite": "/admin"}, {Kind.REROUTED}),
        ({"auth": "none"}, {"auth": "none", "upstream": "same"}, set()),
    ],
)
def test_another_app_behind_a_public_path(before: Entry, after: Entry, kinds: set[Kind]) -> None:
    """It is public now, as are other paths of one app; an app of another name is the same."""
    same = {"app": {"servers": ["http://a:1"]}, "same": {"servers": ["http://a:1"]}}
    upstreams = {**same, "other": {"servers": ["http://b:1"]}}
    old = Compiled([route("a", "/a/*", before)], upstreams=upstreams)
    lines, _ = compare(old, Compiled([route("a", "/a/*", after)], upstreams=upstreams))
    assert kinds == {line.kind for line in lines}


def test_a_server_of_another_app_behind_a_public_path() -> None:
    """It is public now, by whatever name; a server that no app had is one that moved."""
    routes = [route("a", "/a", {"auth": "none"}), route("b", "/b", {"upstream": "other"})]
    ports = {"app": 1, "other": 2}

    def with_(**changed: int) -> Compiled:
        entries = {
            name: {"servers": [f"http://127.0.0.1:{port}"]}
            for name, port in (ports | changed).items()
        }
        return Compiled(routes, upstreams=entries)

    for port, kind in ((2, Kind.PUBLIC), (3, Kind.REROUTED)):
        lines, _ = compare(with_(), with_(app=port))
        assert [(kind, f"GET {URL}/a")] == [(line.kind, line.request) for line in lines]


def test_clients_of_unix_sockets_have_their_name() -> None:
    """As the config writes it."""
    denied = route("a", "/a", {"auth": "none", "deny": [{"networks": ["unix:"]}]})
    (line,) = compare(Compiled([denied]), Compiled([route("a", "/a", {"auth": "none"})]))[0]
    assert (Kind.PUBLIC, f"GET {URL}/a from unix:") == (line.kind, line.request)
    assert line.old.endswith("deny networks unix:")


def test_development_mode_lets_in_anyone() -> None:
    """Its credentials are others."""
    (line,) = compare(Compiled([REST]), Compiled([REST], magic={"mode": "development"}))[0]
    assert Kind.AUTH is line.kind
    assert line.new.endswith("auth required (did-token, session of development mode)")


def test_a_public_path_that_is_checked_for_a_proxy() -> None:
    """No app gets its requests from the gateway."""
    checked = {"name": "a", "match": {"path": "/a"}, "auth": "none"}
    lines, _ = compare(Compiled([route("a", "/a", {"auth": "none"})]), Compiled([checked]))
    assert [Kind.REROUTED] == [line.kind for line in lines]


def test_another_order_is_no_change() -> None:
    """Nor is a route that repeats what another one does."""
    routes = [REST, route("a", "/a", STAFF), route("b", "/b")]
    lines, _ = compare(Compiled(routes), Compiled(routes[::-1]))
    assert [] == lines


def test_priorities_are_a_change() -> None:
    """Of two routes of one path, the first one takes the method that both have."""
    routes = [
        route("one", "/a", methods=["GET", "PUT"]),
        route("two", "/a", {"auth": "none"}, methods=["GET"]),
    ]
    lines, _ = compare(Compiled(routes), Compiled(routes[::-1]))
    assert [(Kind.PUBLIC, f"GET {URL}/a")] == [(line.kind, line.request) for line in lines]


def test_sections_beside_the_routes() -> None:
    """Limits, roles and upstreams count by what requests meet; others do not."""
    entry = route("a", "/a", {"allow": [{"roles": ["staff"]}]})
    old = Compiled([entry])

    def kinds(**sections: object) -> list[Kind]:
        return [line.kind for line in compare(old, Compiled([entry], **sections))[0]]

    assert [Kind.LIMITS] == kinds(limits={"default": {"rate": "1/minute"}})
    assert [Kind.RULES] == kinds(identity={"roles": [{"role": "staff", "emails": ["a@b.org"]}]})
    assert [] == kinds(identity={"roles": [{"role": "other", "emails": ["a@b.org"]}]})
    moved = {"app": {"servers": ["http://127.0.0.1:9"]}}
    assert [Kind.REROUTED] == kinds(upstreams=moved)
    smaller = {"app": {"servers": ["http://127.0.0.1:1"], "connections": 9}}
    assert [Kind.UPSTREAM] == kinds(upstreams=smaller)
    verified = {"app": {"servers": ["http://127.0.0.1:1"], "tls": {"ca": "/ca"}}}
    assert [Kind.REROUTED] == kinds(upstreams=verified)
    assert [] == kinds(session={"idle": "30m"})


def test_credentials_of_other_issuers() -> None:
    """Other callers get in where the route accepts the kind."""

    def trusting(*issuers: str) -> dict[str, object]:
        keys = {"audience": "a", "jwks_file": "/keys"}
        return {"jwt": [{"issuer": issuer, **keys} for issuer in issuers]}

    routes = [route("a", "/a", {"accept": ["jwt"]}), route("b", "/b")]
    old = Compiled(routes, credentials=trusting("https://id.example"))
    new = Compiled(routes, credentials=trusting("https://id.example", "https://ci.example"))
    (line,) = compare(old, new)[0]
    assert (Kind.AUTH, f"GET {URL}/a") == (line.kind, line.request)
    assert "route a: auth required (jwt of https://id.example, https://ci.example)" == line.new


def test_addresses_that_a_proxy_names() -> None:
    """They are others where other proxies are trusted, and so are the networks of rules."""
    routes = [
        route("a", "/a", {"allow": [{"networks": ["10.0.0.0/8"]}]}),
        route("b", "/b", STAFF),
    ]
    server = {"public_url": URL, "trusted_proxies": ["192.0.2.1"], "client_ip": "x-forwarded-for"}
    old, new = Compiled(routes), Compiled(routes, server=server)
    rules, *others = compare(old, new)[0]
    assert (Kind.RULES, f"GET {URL}/a") == (rules.kind, rules.request)
    assert "route a: allow networks 10.0.0.0/8, changed" == rules.new
    met = {(line.kind, line.request) for line in others}
    kinds = (Kind.LIMITS, Kind.FORWARDING)
    assert {(kind, f"GET {URL}/{name}") for kind in kinds for name in "ab"} <= met
    assert any("clients by x-forwarded-for of 192.0.2.1" in line.new for line in others)
    alike = Compiled(routes, server={**server, "client_ip": "peer"})
    assert {Kind.FORWARDING} == {line.kind for line in compare(old, alike)[0]}


def test_other_names_of_the_identity() -> None:
    """Clients may write a field that tells apps of the caller no more."""
    renamed = {"headers": {"issuer": "X-Auth-Issuer"}}
    (line,) = compare(Compiled([REST]), Compiled([REST], identity=renamed))[0]
    assert (Kind.FORWARDING, f"GET {URL}/x") == (line.kind, line.request)
    assert line.new.endswith("; issuer in X-Auth-Issuer")
    signed = {"assertion": {"header": "X-Proof"}}
    lines, _ = compare(Compiled([REST], identity=signed), Compiled([REST]))
    assert any("assertion in X-Proof" in line.old for line in lines)


def test_preflights_that_the_app_answers() -> None:
    """They reach it without a credential, whatever the route needs else."""
    passing: Entry = {"cors": {"preflight": "pass"}}
    old, new = Compiled([REST]), Compiled([route("rest", "/*", passing)])
    assert [Kind.PUBLIC] == [line.kind for line in compare(old, new)[0]]
    assert [Kind.CORS] == [line.kind for line in compare(new, old)[0]]
    assert [Kind.PUBLIC] == [line.kind for line in compare(Compiled([]), new)[0]]
    checked = {"name": "rest", "match": {"path": "/*"}, **passing}
    assert [Kind.ADDED] == [line.kind for line in compare(Compiled([]), Compiled([checked]))[0]]
    moved = Compiled([route("rest", "/*", {**passing, "upstream": "other"})])
    assert [Kind.PUBLIC] == [line.kind for line in compare(new, moved)[0]]
    public: Entry = {"auth": "none"}
    lines, _ = compare(
        Compiled([route("rest", "/*", public)]), Compiled([route("rest", "/*", public | passing)])
    )
    assert [Kind.CORS] == [line.kind for line in lines]


def test_certificates_that_each_client_must_show() -> None:
    """Without them, public routes are open to all clients."""
    tls = {"certificate": "/c", "key": "/k", "client_ca": "/ca"}
    routes = [REST, route("a", "/a", {"auth": "none"})]

    def serving(**more: str) -> Compiled:
        server = {"public_url": URL, "tls": {**tls, **more}}
        return Compiled(routes, server=server)

    wanted, optional = serving(), serving(client_auth="optional")
    lines, _ = compare(wanted, optional)
    assert [(Kind.PUBLIC, f"GET {URL}/a"), (Kind.AUTH, f"GET {URL}/x")] == [
        (line.kind, line.request) for line in lines
    ]
    assert "route a: auth none, with a certificate of /ca" == lines[0].old
    assert [Kind.PROTECTED, Kind.AUTH] == [line.kind for line in compare(optional, wanted)[0]]
    assert [] == compare(optional, Compiled(routes))[0]
    assert [Kind.AUTH, Kind.AUTH] == [
        line.kind for line in compare(wanted, serving(client_ca="/other"))[0]
    ]


def test_another_prefix_of_the_pages() -> None:
    """Paths of pages become paths of an app, and the other way round."""
    old = Compiled([route("all", "/*", {"auth": "none"})])
    server = {"public_url": URL, "prefix": "/_auth"}
    lines, cells = compare(old, Compiled([route("all", "/*", {"auth": "none"})], server=server))
    opened = [line for line in lines if line.kind is Kind.PUBLIC]
    assert any(line.covers(cells.cell_of(PUBLIC_HOST, "/_gateway/x", "GET")) for line in opened)
    moved = cells.cell_of(PUBLIC_HOST, "/_auth/x", "GET")
    assert not any(line.covers(moved) for line in opened)
    assert any(line.covers(moved) for line in lines)


# --- any two configs -----------------------------------------------------------------------------

_PATHS = ["/", "/*", "/a", "/a/", "/a/*", "/a/b", "/a/b/*", "/c/*"]
_HOSTS = [None, PUBLIC_HOST, "*.example.com", "*.app.example.com", "b.example.com"]
_METHODS = [None, ["GET"], ["POST"], ["GET", "PURGE"], "any"]
_RULES = [
    {},
    STAFF,
    {"auth": "none", "deny": [{"methods": ["POST"]}]},
    {"deny": [{"networks": ["10.0.0.0/8"]}]},
    {"auth": "none"},
    {"auth": "none", "deny": [{"networks": ["10.1.0.0/16"]}]},
    {"auth": "optional"},
    {"auth": "optional", "allow": [{"methods": ["GET"]}, {"networks": ["10.0.0.0/8"]}]},
]
_MORE = [
    {},
    {"upstream": "other"},
    {"rewrite": "/z"},
    {"limits": ["few"]},
    {"cost": 3},
    {"cors": {"origins": ["https://b.example"], "credentials": True}},
    {"forward_credentials": True},
    {"accept": ["session"]},
    {"encoded_slashes": "keep"},
]
_ROUTES = st.lists(
    st.tuples(
        st.sampled_from(_PATHS),
        st.sampled_from(_HOSTS),
        st.sampled_from(_METHODS),
        st.sampled_from(_RULES),
        st.sampled_from(_MORE),
    ),
    max_size=4,
    unique_by=lambda entry: (entry[0], entry[1], str(entry[2])),
)
_REQUESTS = [
    (method, host, path)
    for method in ("GET", "HEAD", "POST", "PUT", "PURGE", "TRACE", "BREW")
    for host in (PUBLIC_HOST, "b.example.com", "c.example.com", "x.app.example.com", "d.example")
    for path in ("/", "/a", "/a/", "/a/b", "/a/b/", "/a/b/c", "/a/z/", "/ab", "/c", "/c/d/", "/e")
]
EXAMPLES = int(os.environ.get("DIFF_EXAMPLES", "25"))
"""Few, as each one compares hundreds of requests; more where the comparison was changed."""
_CLIENTS = ("198.51.100.1", "10.0.0.1", "10.1.2.3")


def _config(entries: list[tuple[Any, ...]]) -> Compiled:
    routes = []
    for number, (path, host, methods, rules, more) in enumerate(entries):
        match = {key: value for key, value in (("host", host), ("methods", methods)) if value}
        routes.append(route(f"r{number}", path, {**rules, **more}, **match))
    return Compiled(routes)


@settings(max_examples=EXAMPLES, deadline=None)
@given(_ROUTES, _ROUTES)
def test_lines_are_for_all_requests_that_differ_and_no_others(
    before: list[tuple[Any, ...]], after: list[tuple[Any, ...]]
) -> None:
    """
    A request meets a change exactly where a line is for it; what becomes public is told as such.

    Requests take the resolver that the gateway uses, not what the lines are made of.
    """
    old, new = _config(before), _config(after)
    lines, cells = compare(old, new)
    told = {cell for line in lines for cell in line.cells}
    opened = {cell for line in lines if line.kind is Kind.PUBLIC for cell in line.cells}
    for method, host, path in _REQUESTS:
        request_ = (method, host, path)
        cell = cells.cell_of(host, path, method)
        differs = old.effect(*request_) != new.effect(*request_)
        assert differs == (cell in told), request_
        for client in _CLIENTS if differs else ():
            if new.lets_in(*request_, client) and new.place(*request_) != (
                old.lets_in(*request_, client) and old.place(*request_)
            ):
                assert cell in opened, request_


@settings(max_examples=EXAMPLES, deadline=None)
@given(_ROUTES, _ROUTES)
def test_paths_that_apps_may_read_otherwise(
    before: list[tuple[Any, ...]], after: list[tuple[Any, ...]]
) -> None:
    """Where such a request meets another effect, there is a line for one of its readings."""
    old, new = _config(before), _config(after)
    lines, cells = compare(old, new)
    told = {cell for line in lines for cell in line.cells}
    for raw in ("/a;x", "/a;x/b", "/%61", "/a%2Fb", "/c/%3Bd", "/a/b;/"):
        path = canonical_target(raw).path
        readings = (path, *alternative_paths(path))
        for host in (PUBLIC_HOST, "c.example.com"):
            if old.effect("GET", host, raw) != new.effect("GET", host, raw):
                assert told & {cells.cell_of(host, each, "GET") for each in readings}, raw


@settings(max_examples=EXAMPLES, deadline=None)
@given(_ROUTES, _ROUTES)
def test_each_line_has_a_request_that_proves_it(
    before: list[tuple[Any, ...]], after: list[tuple[Any, ...]]
) -> None:
    """Sent to both configs, it meets another effect; and one that is public needs no credential."""
    old, new = _config(before), _config(after)
    for line in compare(old, new)[0]:
        method, url, *client = line.request.split(" ")
        host, slash, path = url.removeprefix("https://").partition("/")
        request_ = (method, host, slash + path)
        assert old.effect(*request_) != new.effect(*request_), line.request
        if line.kind is Kind.PUBLIC:
            address = client[1] if client else "198.51.100.1"
            clients = (address,) if client else (address, "10.0.0.1", "10.1.2.3", "0.0.0.0")
            assert any(new.lets_in(*request_, each) for each in clients)
            met = old.meets(*request_), new.meets(*request_)
            places = [each and (each[0].upstream, each[1]) for each in met]
            assert places[0] != places[1] or not old.lets_in(*request_, address)
