"""Compilation of settings to routes."""

from collections.abc import Callable

import pytest

from gateway.config.compile import accepted_names, limit, routes
from gateway.config.schema import Settings
from gateway.core.limit import Limit
from gateway.core.route import Auth, Route, UpstreamTimeouts

Read = Callable[..., Settings]

DEFAULT = Limit("default", rate=300, window_s=60)
SLOW = Limit("slow", rate=5, window_s=900, on_store_failure="closed")
LIMITS = (
    "limits: {default: {rate: 300/minute}, slow: {rate: 5/15minutes, on_store_failure: closed}}\n"
)


def test_routes_keep_their_order_and_all_their_keys(read: Read) -> None:
    """Every key of a route is compiled, and routes stay in the order of the file."""
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
    ("match", "methods", "takes_any"),
    [
        pytest.param("path: /a", None, False, id="absent"),
        pytest.param("path: /a, methods: any", None, True, id="any"),
        pytest.param("path: /a, methods: [FOO]", frozenset({"FOO"}), False, id="listed"),
    ],
)
def test_methods_of_a_route(
    read: Read, match: str, methods: frozenset[str] | None, takes_any: bool
) -> None:
    """Without a list the known ones; all others too where the route says any."""
    route = _only(read, f"match: {{{match}}}, cors: {{origins: ['https://b.example']}}")
    assert (methods, takes_any) == (route.methods, route.takes_any_method)
    assert route.cors is not None
    (preflight,) = route.cors.preflights.values()
    assert "any" not in dict(preflight)["Access-Control-Allow-Methods"]


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
    """The limit named ``default`` applies to routes without ``limits``."""
    text = f"{limits}routes: [{{name: a, match: {{path: /a}}, upstream: app{named}}}]"
    (route,) = routes(read(text))
    assert expected == route.limits


def _only(read: Read, route: str, upstream: str = "") -> Route:
    """The one route of a config with an upstream of these keys."""
    text = f"upstreams: {{app: {{servers: ['http://a']{upstream}}}}}\n"
    (made,) = routes(read(f"{text}routes: [{{name: a, upstream: app, {route}}}]"))
    return made


@pytest.mark.parametrize(
    ("upstream", "route", "expected"),
    [
        pytest.param("", "", (2, 30, 300), id="the-usual"),
        pytest.param("{connect: 1s, idle: 9s}", "", (1, 30, 9), id="the-upstreams"),
        pytest.param("{connect: 1s}", "{response: 5m}", (1, 300, 300), id="the-routes-before-them"),
        pytest.param("{idle: 1s}", "{connect: 7s, response: 8s, idle: 9s}", (7, 8, 9), id="all"),
    ],
)
def test_timeouts(read: Read, upstream: str, route: str, expected: tuple[float, ...]) -> None:
    """Time-outs of a route take precedence over those of its upstream."""
    made = _only(
        read,
        f"match: {{path: /a}}, timeouts: {route or '{}'}",
        f", timeouts: {upstream or '{}'}",
    )
    assert UpstreamTimeouts(*expected) == made.timeouts


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        pytest.param("match: {path: /a/*}", ("", "", ""), id="as-it-is"),
        pytest.param("match: {path: /a/b/*}, strip_prefix: /a", ("/a", "", "/a"), id="stripped"),
        pytest.param("match: {path: /a/*}, rewrite: /b/c", ("/a", "/b/c", ""), id="replaced"),
        pytest.param("match: {path: /a/*}, rewrite: /", ("/a", "", ""), id="replaced-by-nothing"),
        pytest.param("match: {path: /a}, rewrite: /b", ("/a", "/b", ""), id="one-path-for-another"),
        pytest.param("match: {path: /a/}, rewrite: /b", ("/a", "/b", ""), id="a-slash-at-its-end"),
        pytest.param("match: {path: /*}, rewrite: /b", ("", "/b", ""), id="all-below-another"),
    ],
)
def test_prefixes(read: Read, route: str, expected: tuple[str, str, str]) -> None:
    """``strip_prefix`` and ``rewrite`` become a prefix, its replacement, and the hidden part."""
    made = _only(read, route)
    assert expected == (made.prefix, made.new_prefix, made.hidden_prefix)


@pytest.mark.parametrize(("keys", "expected"), [("", False), (", host: rewrite", True)])
def test_host(read: Read, keys: str, expected: bool) -> None:
    """A route inherits ``host`` from its upstream: the client's ``Host``, or the server's."""
    assert expected is _only(read, "match: {path: /a}", keys).rewrites_host


def test_names_of_jwts_and_certificates_that_can_be_revoked(read: Read) -> None:
    """A prefix stands for its issuer; DNS names are in lower case, unlike common names."""
    text = """credentials:
  jwt:
    - {issuer: "https://a.example", audience: x, jwks_url: "https://a.example/keys"}
    - {issuer: "https://b.example", audience: x, jwks_url: "https://b.example/keys",
       subject_prefix: b}
"""
    certificates = """\
  client_certificates: {names: ["spiffe://a.example/*", "*.svc.example"]%s}
server:
  public_url: https://localhost
  tls: {certificate: a, key: b, client_ca: c, client_auth: optional}
"""
    assert {"https://a.example", "b"} == set(accepted_names(read(text)).jwt_issuers)
    assert not accepted_names(read(text)).has_certificate("x.svc.example")
    has_certificate = accepted_names(read(text + certificates % "")).has_certificate
    names = ("spiffe://a.example/x", "x.svc.example", "X.svc.example", "spiffe://b.example/x")
    assert [True, True, False, False] == [*map(has_certificate, names)]
    lenient = accepted_names(read(text + certificates % ", common_name: true"))
    assert lenient.has_certificate("X.svc.example")


def test_fields_that_pass(read: Read) -> None:
    """A route inherits them from its upstream, as names are compared."""
    keys = ", headers: {pass: [X-Forwarded-User, Cf-Access-Jwt-Assertion]}"
    made = _only(read, "match: {path: /a}", keys)
    assert {"x-forwarded-user", "cf-access-jwt-assertion"} == made.passed_fields
    assert frozenset() == _only(read, "match: {path: /a}").passed_fields


def test_a_shadow_limit_never_fails_closed(read: Read) -> None:
    """It would refuse requests; an enforced one beside it does."""
    entry = "{rate: 3/minute, on_store_failure: closed, mode: %s}"
    settings = read(f"limits: {{a: {entry % 'shadow'}, b: {entry % 'enforce'}}}\n")
    compiled = [limit(name, each) for name, each in settings.limits.items()]
    assert [(True, "open"), (False, "closed")] == [
        (each.is_shadow, each.on_store_failure) for each in compiled
    ]
