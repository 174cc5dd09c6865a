"""The limit named ``login``, and the keys of counters."""

from collections.abc import Callable

import pytest

from gateway.config.compile import login_limits, routes
from gateway.config.limits import ListPath
from gateway.config.schema import Settings
from gateway.core.limit import Limit
from gateway.ratelimit.entry import Entry

Read = Callable[..., Settings]
Complain = Callable[..., list[str]]


EXPECTED = (
    "expected ip, issuer, session, api-key, email, role, route or header:NAME, or a list of these"
)


def login(rate: int, window_s: int, on_store_failure: str = "local") -> Limit:
    """The compiled limit of one counter."""
    return Limit("login", rate, window_s, on_store_failure)


@pytest.mark.parametrize(
    ("written", "ip", "contact"),
    [
        pytest.param("", login(50, 900), login(5, 900), id="not-written"),
        pytest.param(
            "{rate: 3/hour, per: [ip, email]}", login(30, 3600), login(3, 3600), id="both"
        ),
        pytest.param(
            "{rate: 3/hour, per: [email, ip], ip_rate: 7/minute, on_store_failure: closed}",
            login(7, 60, "closed"),
            login(3, 3600, "closed"),
            id="a-rate-of-its-own",
        ),
        pytest.param("{rate: 3/hour, per: email}", None, login(3, 3600), id="email"),
        pytest.param("{rate: 3/hour, per: [email]}", None, login(3, 3600), id="email-in-a-list"),
        pytest.param("{rate: 3/hour, per: ip}", login(3, 3600), None, id="ip"),
        pytest.param("{rate: 3/hour}", login(3, 3600), None, id="default-key"),
        pytest.param(
            "{rate: 3/hour, per: [ip, email], algorithm: token-bucket, burst: 2}",
            Limit("login", 30, 3600, algorithm="token-bucket"),
            Limit("login", 3, 3600, algorithm="token-bucket", burst=2),
            id="a-burst-of-one-email",
        ),
    ],
)
def test_limits_of_sign_in_attempts(
    read: Read, written: str, ip: Limit | None, contact: Limit | None
) -> None:
    """Addresses and emails are counted separately; an address may try ten times as often."""
    assert (ip, contact) == login_limits(read(f"limits: {{login: {written}}}" if written else ""))


def test_a_developer_is_not_locked_out_by_signing_in(read: Read) -> None:
    """Development mode has a higher default; a limit of the config applies there too."""
    magic = "magic: {mode: development}\nserver: {public_url: http://localhost}\n"
    assert (login(10_000, 60), login(1000, 60)) == login_limits(read(magic))
    own = read(magic + "limits: {login: {rate: 3/hour, per: email}}")
    assert (None, login(3, 3600)) == login_limits(own)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param(
            "limits: {login: {rate: 1/hour, per: email, ip_rate: 1/hour}}",
            "limits.login.ip_rate: needs the name login, and per: [ip, email]",
            id="a-rate-for-nothing",
        ),
        pytest.param(
            "limits: {a: {rate: 1/hour, per: [ip, email], ip_rate: 1/hour}}",
            "limits.a.ip_rate: needs the name login, and per: [ip, email]",
            id="a-rate-of-a-combined-key",
        ),
        pytest.param(
            "limits: {login: {rate: 1/hour, per: [ip, issuer]}}",
            "limits.login.per: the limit named login counts by ip, email or both",
            id="sign-in-by-issuer",
        ),
        pytest.param(
            "limits: {failures: {rate: 1/hour, per: issuer}}",
            "limits.failures.per: the limit named failures counts by ip: it is charged before the "
            "caller is known",
            id="failures-by-issuer",
        ),
        pytest.param(
            "limits: {login: {rate: 1/hour, per: email}}\n"
            "routes: [{name: a, match: {path: /a}, upstream: app, limits: [login]}]",
            "routes[0].limits[0]: counts by email, as sign-in attempts name it: list another "
            "limit, or set per: ip there",
            id="a-route",
        ),
        pytest.param(
            "limits: {a: {rate: 1/hour, per: [ip, ip]}}",
            "limits.a.per: expected each once",
            id="twice",
        ),
        pytest.param(
            'limits: {a: {rate: 1/hour, per: ["header:X-A", "header:x-a"]}}',
            "limits.a.per: expected each once",
            id="one-field-in-two-spellings",
        ),
        *(
            pytest.param(
                f"limits: {{a: {{rate: 1/hour, per: {written}}}}}", f"limits.a.per: {EXPECTED}"
            )
            for written in (
                *("[]", "wallet", '"header:"', '"header:X A"', '"header:X_A"', "header", "3"),
                *("[ip, 3]", "{ip: email}", '"Header:X-A"', "IP", '"header:1x"'),
            )
        ),
        pytest.param(
            "limits: {a: {rate: 1/hour, mode: observe}}",
            "limits.a.mode: expected 'enforce' or 'shadow'",
            id="another-mode",
        ),
        pytest.param(
            "limits: {a: {rate: 1/hour, burst: 3}}",
            "limits.a.burst: needs algorithm: token-bucket",
            id="a-burst-of-windows",
        ),
        pytest.param(
            "limits: {a: {rate: 1/hour, burst: 0, algorithm: token-bucket}}",
            "limits.a.burst: expected a whole number from 1 to 999999999",
            id="no-burst",
        ),
        pytest.param(
            "limits: {a: {rate: 1/hour, deny: [10.0.0.1/8]}}",
            "limits.a.deny[0]: a network with bits set beyond its prefix: write them as 0",
            id="a-network-with-host-bits",
        ),
        pytest.param(
            "limits: {a: {rate: 1/hour, allow: [{path: x}]}}",
            "limits.a.allow[0]: expected an address, a network, an issuer, an email address, or"
            " {file: PATH}",
            id="another-mapping-in-a-list",
        ),
        pytest.param(
            "limits: {a: {rate: 1/hour, allow: [{file: ''}]}}",
            "limits.a.allow[0]: expected the path of a file",
            id="a-list-in-no-file",
        ),
        pytest.param(
            "limits: {a: {rate: 1/hour, deny: 10.0.0.1}}",
            "limits.a.deny: expected a list",
            id="no-list",
        ),
        pytest.param(
            "limits: {a: {per: ip}}",
            "limits.a.rate: required: set it, or concurrent",
            id="nothing-to-count",
        ),
        pytest.param(
            "limits: {a: {rate: 1/hour, algorithm: concurrency}}",
            "limits.a.concurrent: required with algorithm: concurrency",
            id="concurrency-without-a-number",
        ),
        pytest.param(
            "limits: {a: {concurrent: 1, rate: 1/hour}}",
            "limits.a.rate: cannot be combined with concurrent: remove one",
            id="both",
        ),
        pytest.param(
            "limits: {a: {concurrent: 1, approximate: true}}",
            "limits.a.approximate: cannot be combined with concurrent: remove one",
            id="leases-are-exact",
        ),
        pytest.param(
            "limits: {a: {concurrent: 1, overrides: true}}",
            "limits.a.overrides: cannot be combined with concurrent: remove one",
            id="rates-of-single-callers-without-a-rate",
        ),
        pytest.param(
            "limits: {a: {concurrent: 1, algorithm: fixed-window}}",
            "limits.a.algorithm: concurrent needs algorithm: concurrency",
            id="another-algorithm",
        ),
        pytest.param(
            "limits: {a: {rate: 1/hour, lease: 10s}}",
            "limits.a.lease: needs concurrent: remove it",
            id="a-lease-of-a-rate",
        ),
        pytest.param(
            "limits: {a: {concurrent: 1, lease: 1500ms}}",
            "limits.a.lease: expected whole seconds, such as 30s",
            id="parts-of-a-second",
        ),
        pytest.param(
            "limits: {failures: {concurrent: 1}}",
            "limits.failures.concurrent: this limit counts attempts: set a rate",
            id="attempts",
        ),
        pytest.param(
            "limits: {a: {rate: 1/hour, approximate: true, on_store_failure: closed}}",
            "limits.a.approximate: cannot be combined with on_store_failure: closed",
            id="exact-and-approximate",
        ),
        pytest.param(
            "server: {public_url: https://a.example, trusted_proxies: [10.0.0.0/8]}\n"
            "limits: {a: {concurrent: 1}, b: {rate: 1/hour}}\n"
            "routes: [{name: a, match: {path: /a}, limits: [b, a]}]",
            "routes[0].limits[1]: concurrent needs a route with an upstream",
            id="a-route-that-another-proxy-serves",
        ),
    ],
)
def test_refused_keys_of_counters(complaints: Complain, text: str, complaint: str) -> None:
    """A limit that would count nothing, or all requests together, is refused."""
    (problem,) = complaints(text)
    assert problem.endswith(complaint)


def test_a_route_may_share_a_login_limit_by_address(read: Read) -> None:
    """The limit named ``login`` can be listed by a route if it does not count by email."""
    settings = read(
        "limits: {login: {rate: 3/hour}}\n"
        "routes: [{name: a, match: {path: /a}, upstream: app, limits: [login]}]"
    )
    assert ("ip",) == settings.limits["login"].per


@pytest.mark.parametrize(
    ("written", "per", "needs_identity"),
    [
        ("ip", ("ip",), False),
        ("route", ("route",), False),
        ('"header:X-Tenant"', ("header:x-tenant",), False),
        ("issuer", ("issuer",), True),
        ("session", ("session",), True),
        ("api-key", ("api-key",), True),
        ("email", ("email",), True),
        ("role", ("role",), True),
        ("[ip, route]", ("ip", "route"), False),
        ('["header:X-Tenant", issuer]', ("header:x-tenant", "issuer"), True),
        ("[ip, email]", ("ip", "email"), True),
    ],
)
def test_a_route_charges_a_limit_as_soon_as_its_caller_is_known(
    read: Read, written: str, per: tuple[str, ...], needs_identity: bool
) -> None:
    """What only authentication finds out is charged after it."""
    settings = read(
        f"limits: {{a: {{rate: 3/hour, per: {written}}}, default: {{rate: 1/second}}}}\n"
        "routes: [{name: a, match: {path: /a}, upstream: app, limits: [a, default]}]"
    )
    [route] = routes(settings)
    limit = Limit("a", 3, 3600, per=per)
    default = Limit("default", 1, 1)
    expected = ((default,), (limit,)) if needs_identity else ((limit, default), ())
    assert expected == (route.limits, route.identity_limits)
    assert settings.limits["a"].per == per


SERVER = "server: {{public_url: https://a.example, rate_limit_headers: {0}}}"
ROUTE = "routes: [{{name: a, match: {{path: /a}}, upstream: app, {0}}}]\n"


@pytest.mark.parametrize(
    ("written", "cost", "tells_cost"),
    [
        ("auth: none", 1, False),
        ("cost: 5", 5, False),
        ('cost: "5"', 5, False),
        ("cost: from-answer", 1, True),
    ],
)
def test_what_a_request_costs(read: Read, written: str, cost: int, tells_cost: bool) -> None:
    """A number, or what the answer tells; one is charged before that."""
    [route] = routes(read(ROUTE.format(written)))
    assert (cost, tells_cost) == (route.cost, route.tells_cost)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        *(
            pytest.param(
                ROUTE.format(f"limits: [], cost: {written}"),
                "routes[0].cost: expected a whole number from 1 to 1000000, or from-answer",
            )
            for written in ("0", "-1", "1000001", "1.5", "true", "much", "[]", "99999999")
        ),
        pytest.param(
            "limits: {a: {rate: 4/hour}}\n" + ROUTE.format("cost: 5, limits: [a]"),
            "routes[0].cost: above what the limit a allows at once: no request would pass",
            id="above-the-rate",
        ),
        pytest.param(
            "limits: {default: {rate: 9/hour, algorithm: token-bucket, burst: 4}}\n"
            + ROUTE.format('cost: "5"'),
            "routes[0].cost: above what the limit default allows at once: no request would pass",
            id="above-the-burst-of-the-default",
        ),
        pytest.param(
            "server: {public_url: https://a.example, trusted_proxies: [10.0.0.0/8]}\n"
            + ROUTE.format("cost: from-answer").replace("upstream: app, ", ""),
            "routes[0].cost: from-answer needs an upstream",
            id="no-answer",
        ),
    ],
)
def test_refused_costs(complaints: Complain, text: str, complaint: str) -> None:
    """A cost that could not be charged is refused."""
    (problem,) = complaints(text)
    assert problem.endswith(complaint)


def test_a_cost_may_take_all_of_a_limit(read: Read) -> None:
    """One request in a window passes then."""
    [route] = routes(read("limits: {a: {rate: 5/hour}}\n" + ROUTE.format("cost: 5, limits: [a]")))
    assert 5 == route.cost


def test_answers_tell_of_limits_when_they_refuse(read: Read, complaints: Complain) -> None:
    """Or always."""
    assert "refused" == read("").server.rate_limit_headers
    assert "always" == read(SERVER.format("always")).server.rate_limit_headers
    (problem,) = complaints(SERVER.format("never"))
    assert problem.endswith("server.rate_limit_headers: expected 'refused' or 'always'")


def test_lists_hold_entries_and_files(read: Read) -> None:
    """In their canonical spelling, by which they are written again."""
    text = "limits: {a: {rate: 1/hour, deny: [10.0.0.0/8, Ada@Example.com, {file: /etc/deny}]}}"
    entry = read(text).limits["a"]
    assert ("10.0.0.0/8", "ada@example.com") == tuple(
        each.text for each in entry.deny if isinstance(each, Entry)
    )
    assert ListPath("/etc/deny") == entry.deny[-1]
    written = entry.model_dump(mode="json")
    assert ["10.0.0.0/8", "ada@example.com", {"file": "/etc/deny"}] == written["deny"]
    assert () == entry.allow


def test_a_limit_on_requests_under_way_is_compiled_apart(read: Read) -> None:
    """Its number takes the place of the rate, its lease that of the window; the rest as given."""
    settings = read(
        "limits:\n"
        "  default: {rate: 3/hour, approximate: true}\n"
        "  uploads: {concurrent: 10}\n"
        "  sockets: {concurrent: 2, lease: 5m, algorithm: concurrency, on_store_failure: open}\n"
        "routes:\n"
        "  - {name: a, match: {path: /a}, upstream: app, limits: [uploads, default, sockets]}\n"
        "  - {name: b, match: {path: /b}, upstream: app}\n"
    )
    uploads = Limit("uploads", 10, 60, algorithm="concurrency")
    sockets = Limit("sockets", 2, 300, "open", "concurrency")
    default = Limit("default", 3, 3600, is_approximate=True)
    both, plain = routes(settings)
    assert ((default,), (uploads, sockets)) == (both.limits, both.concurrency)
    assert ((default,), ()) == (plain.limits, plain.concurrency)
