"""Checks between keys."""

from collections.abc import Callable
from types import FunctionType

import pytest

from gateway.config import (
    admin_checks,
    checks,
    credential_checks,
    hook_checks,
    limit_checks,
    redis_checks,
)
from gateway.config.schema import Settings

Read = Callable[..., Settings]
Complain = Callable[..., list[str]]

ROUTE = "match: {path: /a}, upstream: app"
DEVELOPMENT = "magic: {mode: development}\nsession: {}\n"

EXPECTED_FOREIGN = "expected a field that other gateways write, see docs/headers.md"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            f"upstreams: {{app: {{servers: ['http://a:1']}}}}\n"
            f"routes: [{{name: a, accept: [session, api-key], {ROUTE}}}]",
            ["2: routes[0].accept[1]: needs credentials.api_keys"],
            id="a-kind-of-credentials-that-is-not-configured",
        ),
        pytest.param(
            "upstreams: {2: {servers: ['http://a:1']}}\n"
            "routes: [{name: 1, match: {path: /a}, upstream: 2},\n"
            "  {name: 3, match: {path: /b}, upstream: 2}]",
            [],
            id="names-that-are-numbers",
        ),
        pytest.param(
            "upstreams: {2: {servers: ['http://a:1']}}\n"
            "routes: [{name: 1, match: {path: /a}, upstream: 0, limits: [7]},\n"
            "  {name: 1, match: {path: /b}, upstream: 2}]",
            [
                "2: routes[0].upstream: no such upstream; known: 2",
                "2: routes[0].limits[0]: no such limit; known: default",
                "3: routes[1].name: same name as routes[0].name",
            ],
            id="numbers-that-name-nothing",
        ),
        pytest.param(
            "credentials: {api_keys: {}}\n"
            f"upstreams: {{app: {{servers: ['http://a:1']}}}}\n"
            f"routes: [{{name: a, accept: [api-key], {ROUTE}}}]",
            [],
            id="a-kind-of-credentials-that-is-configured",
        ),
        pytest.param(
            f"upstreams: {{app: {{servers: ['http://a:1']}}}}\n"
            f"routes: [{{name: a, accept: [], {ROUTE}}}]",
            ["2: routes[0].accept: expected at least one entry"],
            id="no-kind-of-credentials",
        ),
        pytest.param(
            "credentials: {jwt: [{issuer: a, audience: b, jwks_file: c},"
            " {issuer: d, audience: b, jwks_url: 'https://e/f'}]}",
            [],
            id="two-issuers",
        ),
        pytest.param(
            "credentials: {jwt: [{issuer: a, audience: b, jwks_file: c},"
            " {issuer: a, audience: b, jwks_file: c}]}",
            [
                "1: credentials.jwt[1].issuer: same issuer as credentials.jwt[0].issuer",
                "1: credentials.jwt[1]: same subject_prefix or issuer as credentials.jwt[0]",
            ],
            id="one-issuer-twice",
        ),
        pytest.param(
            "credentials: {jwt: [{issuer: a, audience: b, jwks_file: c},"
            " {issuer: d, audience: b, jwks_file: c, subject_prefix: a}]}",
            ["1: credentials.jwt[1]: same subject_prefix or issuer as credentials.jwt[0]"],
            id="two-issuers-with-one-prefix",
        ),
        pytest.param(
            "credentials: {jwt: [{issuer: a, audience: b},"
            " {issuer: d, audience: b, jwks_file: c, jwks_url: 'https://e/f'}]}",
            [
                "1: credentials.jwt[0]: expected either jwks_url or jwks_file",
                "1: credentials.jwt[1]: expected either jwks_url or jwks_file",
            ],
            id="keys-from-nowhere-or-two-places",
        ),
        pytest.param(
            "credentials: {jwt: [{issuer: a, azp: [b], jwks_file: c, from: {cookie: __session}},"
            " {issuer: d, audience: b, jwks_file: c, from: {header: X-Jwt}}]}",
            [],
            id="jwts-that-browsers-send",
        ),
        pytest.param(
            "credentials: {jwt: [{issuer: a, jwks_file: c}]}",
            ["1: credentials.jwt[0]: expected audience, or azp"],
            id="jwts-for-any-recipient",
        ),
        pytest.param(
            "credentials: {jwt: [{issuer: a, audience: b, jwks_file: c, from: {}},"
            " {issuer: d, audience: b, jwks_file: c, from: {cookie: e, header: X-Jwt}}]}",
            [
                "1: credentials.jwt[0].from: expected either cookie or header",
                "1: credentials.jwt[1].from: expected either cookie or header",
            ],
            id="jwts-from-nowhere-or-two-places",
        ),
        pytest.param(
            "credentials: {api_keys: {header: X-Key}, jwt: ["
            "{issuer: a, audience: b, jwks_file: c, from: {cookie: __Host-session}},"
            " {issuer: d, audience: b, jwks_file: c, from: {header: x-user-email}},"
            " {issuer: e, audience: b, jwks_file: c, from: {header: X-KEY}}]}",
            [
                "1: credentials.jwt[0].from.cookie: is the session cookie: choose another name",
                "1: credentials.jwt[1].from.header: is an identity or API key header",
                "1: credentials.jwt[2].from.header: is an identity or API key header",
            ],
            id="jwts-from-a-place-with-another-meaning",
        ),
        pytest.param(
            "credentials: {client_certificates: {names: [a.example]}}",
            ["1: credentials.client_certificates: needs server.tls.client_ca"],
            id="client-certificates-without-a-ca",
        ),
        pytest.param(
            "credentials: {client_certificates: {names: ['*']}}",
            [
                (
                    "1: credentials.client_certificates.names[0]: expected a name in certificates:"
                    " spiffe://example.org/*, *@example.com, *.svc.example.com, or one of them"
                    " without a star"
                ),
                "1: credentials.client_certificates: needs server.tls.client_ca",
            ],
            id="client-certificates-of-any-name",
        ),
        pytest.param(
            "identity: {headers: {issuer: Remote-User}}\n"
            "upstreams: {app: {servers: ['http://a'],"
            " headers: {pass: [REMOTE-USER, Remote-Name]}}}",
            ["2: upstreams.app.headers.pass[0]: is an identity header: clients could forge it"],
            id="an-identity-header-that-clients-fill-in",
        ),
        pytest.param(
            "upstreams: {app: {servers: ['http://a'], headers: {pass: [X-Custom]}}}",
            [f"1: upstreams.app.headers.pass[0]: {EXPECTED_FOREIGN}"],
            id="a-field-that-passes-anyway",
        ),
        pytest.param(
            "credentials: {api_keys: {header: x-user-email}}",
            ["1: credentials.api_keys.header: is an identity header: choose another name"],
            id="a-field-that-clients-and-we-fill-in",
        ),
        pytest.param(
            "credentials: {api_keys: {header: Authorization}}",
            [
                (
                    "1: credentials.api_keys.header: this header has another meaning: choose"
                    " another name, such as X-User-…"
                )
            ],
            id="a-field-with-another-meaning",
        ),
        pytest.param(
            "server: {public_url: 'https://a', client_ip: x-forwarded-for}",
            ["1: server.client_ip: x-forwarded-for needs server.trusted_proxies"],
            id="a-header-without-trusted-proxies",
        ),
        pytest.param(
            "server: {public_url: 'https://a', client_ip: forwarded}",
            ["1: server.client_ip: forwarded needs server.trusted_proxies"],
            id="forwarded-without-trusted-proxies",
        ),
        pytest.param(
            "server: {public_url: 'https://a', client_ip: guess}",
            [
                (
                    "1: server.client_ip: expected 'peer', 'x-forwarded-for', 'forwarded' or"
                    " 'proxy-protocol'"
                )
            ],
            id="an-unknown-source-of-the-address",
        ),
        pytest.param(
            "server: {public_url: 'https://a', client_ip: x-forwarded-for,"
            " trusted_proxies: [10.0.0.0/8]}",
            [],
            id="a-header-of-a-trusted-proxy",
        ),
        pytest.param(
            f"{DEVELOPMENT}server: {{listen: ['127.9.9.9:1', '[::1]:1', 'localhost:1'],"
            " public_url: 'http://127.0.0.1:1'}",
            [],
            id="development-on-loopback",
        ),
        pytest.param(
            f"{DEVELOPMENT}server: {{public_url: 'http://localhost:8080'}}",
            [],
            id="development-listens-on-loopback-by-default",
        ),
        pytest.param(
            f"{DEVELOPMENT}server: {{listen: ['unix:/run/x.sock', 'systemd'],"
            " public_url: 'http://localhost'}",
            [
                (
                    "3: server.listen[1]: development mode works on loopback only: listen on"
                    " 127.0.0.1, [::1], localhost or unix:/path"
                )
            ],
            id="development-on-a-socket-that-may-be-anywhere",
        ),
        pytest.param(
            f"{DEVELOPMENT}server: {{listen: ['127.0.0.1:1', '0.0.0.0:1'],"
            " public_url: 'https://localhost'}",
            [
                (
                    "3: server.listen[1]: development mode works on loopback only: listen on"
                    " 127.0.0.1, [::1], localhost or unix:/path"
                ),
                (
                    "3: server.public_url: development mode works on loopback only: expected"
                    " http://localhost:port"
                ),
            ],
            id="development-on-all-addresses",
        ),
        pytest.param(
            "server: {public_url: 'http://localhost'}\n"
            "magic: {mode: development, secret_key: sk_live_1}",
            ["2: magic.secret_key: a live key in development mode: remove it, or use a test key"],
            id="development-with-a-live-key",
        ),
        pytest.param(
            "server: {public_url: 'http://localhost'}\n"
            "magic: {mode: development, secret_key: sk_test_1}",
            [],
            id="development-with-a-test-key",
        ),
        pytest.param(
            "magic: {secret_key: ''}\nsession: {keys: []}",
            [
                "1: magic.secret_key: required in live mode",
                "2: session.keys: required in live mode",
            ],
            id="live-without-secrets",
        ),
        pytest.param(
            "magic: {mode: lively}\nsession: {}",
            ["1: magic.mode: expected 'live' or 'development'"],
            id="a-mode-that-there-is-not-demands-nothing",
        ),
        pytest.param(
            "server: {public_url: 'https://a', tls: {certificate: /a.crt, key: /a.key}}",
            [],
            id="tls",
        ),
        pytest.param(
            "server: {public_url: 'https://a', tls: {certificates:"
            " [{certificate: /a.crt, key: /a.key}]}}",
            [],
            id="tls-with-a-list-alone",
        ),
        pytest.param(
            "server: {public_url: 'https://a', tls: {certificate: /a.crt}}",
            ["1: server.tls.certificate: certificate and key are needed together"],
            id="half-a-pair",
        ),
        pytest.param(
            "server: {public_url: 'https://a', tls: {client_ca: /a.crt}}",
            ["1: server.tls: expected certificate and key, or certificates"],
            id="tls-without-a-certificate",
        ),
        pytest.param(
            "server: {public_url: 'https://a', tls: {certificate: /a, key: /b, client_ca: ''}}",
            ["1: server.tls.client_ca: expected the path of a file"],
            id="an-unset-variable-does-not-switch-verification-off",
        ),
        pytest.param(
            "server: {public_url: 'https://a', tls: {certificate: /a, key: /b, client_ca: }}",
            ["1: server.tls.client_ca: expected a value; leave the key out for the default"],
            id="nor-does-a-key-without-value",
        ),
        pytest.param(
            "server: {public_url: 'https://a', tls: }",
            ["1: server.tls: expected a value; leave the key out for the default"],
            id="nor-is-tls-switched-off",
        ),
        pytest.param(
            "server: {public_url: 'http://a'}\n"
            "session: {cookie: __Host-s, keys: [0123456789abcdef0123456789abcdef]}",
            ["2: session.cookie: a name with this prefix needs an https public_url"],
            id="a-cookie-that-browsers-would-drop",
        ),
        pytest.param(
            "identity: {headers: {issuer: X-Who, phone: x-who}}",
            ["1: identity.headers.phone: same header as identity.headers.issuer"],
            id="two-headers-of-one-name",
        ),
        pytest.param(
            "identity: {headers: {issuer: X-User-EMAIL}}",
            ["1: identity.headers.email: same header as identity.headers.issuer"],
            id="a-header-with-the-name-of-a-default",
        ),
        pytest.param(
            f"routes:\n- {{name: a, {ROUTE}}}\n- {{name: a, match: {{path: /b}}, upstream: app}}",
            ["3: routes[1].name: same name as routes[0].name"],
            id="two-routes-of-one-name",
        ),
        pytest.param(
            "routes:\n"
            "- {name: a, match: {host: A, path: /a, methods: [GET, HEAD]}, upstream: app}\n"
            "- {name: b, match: {host: a, path: /a, methods: [HEAD, GET]}, upstream: app}",
            ["3: routes[1].match: matches the same requests as routes[0].match"],
            id="two-routes-for-the-same-requests",
        ),
        pytest.param(
            "routes:\n"
            "- {name: a, match: {path: /a}, upstream: app}\n"
            "- {name: b, match: {path: /a/*}, upstream: app}\n"
            "- {name: c, match: {path: /a, host: h}, upstream: app}\n"
            "- {name: d, match: {path: /a, methods: [GET]}, upstream: app}",
            [],
            id="routes-that-differ-in-one-thing",
        ),
        pytest.param(
            "routes:\n"
            "- {name: a, match: {path: /a, host: '${NONE}'}, upstream: app}\n"
            "- {name: b, match: {path: /a}, upstream: app}",
            ["2: routes[0].match.host: the environment variable NONE is not set"],
            id="an-unknown-host-is-not-any-host",
        ),
        pytest.param(
            "routes:\n- {name: a, match: {path: /a}, upstream: ap}\nupstreams: {}",
            ["2: routes[0].upstream: no such upstream; known: none"],
            id="a-route-to-nowhere",
        ),
        pytest.param(
            "routes: [{name: a, match: {path: /a}}]",
            [
                (
                    "1: routes[0].upstream: required, except for forward-auth: that needs"
                    " server.trusted_proxies"
                )
            ],
            id="a-route-without-upstream-or-trusted-proxies",
        ),
        pytest.param(
            "server: {public_url: 'https://a', trusted_proxies: [10.0.0.0/8]}\n"
            "routes: [{name: a, match: {path: /a}}]",
            [],
            id="a-route-for-forward-auth-checks",
        ),
        pytest.param(
            "server: {public_url: 'https://a', trusted_proxies: [10.0.0.0/8]}\n"
            "routes: [{name: a, match: {path: /a}, rewrite: /b, timeouts: {idle: 1s}}]",
            [
                "2: routes[0].rewrite: needs an upstream",
                "2: routes[0].timeouts: needs an upstream",
            ],
            id="what-is-forwarded-nowhere-cannot-be-rewritten",
        ),
        pytest.param(
            f"routes:\n- {{name: a, {ROUTE}, limits: [default, default, strict]}}",
            [
                "2: routes[0].limits[2]: no such limit; known: default",
                "2: routes[0].limits[1]: same limit as routes[0].limits[0]",
            ],
            id="limits-that-there-are-not-or-twice",
        ),
        pytest.param(
            "server: {public_url: 'https://a', prefix: /auth}\n"
            "routes:\n"
            "- {name: a, match: {path: /auth/*}, upstream: app}\n"
            "- {name: b, match: {path: /_gateway}, upstream: app}",
            ["3: routes[0].match.path: lies under server.prefix, which is reserved"],
            id="a-route-over-our-own-pages",
        ),
        pytest.param(
            f"routes: [{{name: a, {ROUTE}, strip_prefix: /a, rewrite: /b}}]",
            ["1: routes[0].strip_prefix: cannot be combined with rewrite: remove one"],
            id="a-prefix-that-is-replaced-in-two-ways",
        ),
        pytest.param(
            "routes: [{name: a, match: {path: /ab/*}, upstream: app, strip_prefix: /a}]",
            ["1: routes[0].strip_prefix: must be a prefix of match.path"],
            id="a-prefix-that-is-not-there",
        ),
        pytest.param(
            "routes: [{name: a, match: {path: /*}, upstream: app, strip_prefix: /a}]",
            ["1: routes[0].strip_prefix: must be a prefix of match.path"],
            id="a-prefix-that-is-not-always-there",
        ),
        pytest.param(
            "routes: [{name: a, match: {path: /a/b}, upstream: app, strip_prefix: /a},"
            " {name: b, match: {path: /b/*}, upstream: app, strip_prefix: /b},"
            " {name: c, match: {path: /c/*}, upstream: app, rewrite: /}]",
            [],
            id="prefixes-that-are-there",
        ),
        pytest.param(
            "upstreams: {app: {servers: ['http://a', 'http://A:80', 'http://b', 7, 'http://b/x']}}",
            [
                *(
                    f"1: upstreams.app.servers[{place}]: expected http://host:port,"
                    " https://host:port or unix:/path/of/socket"
                    for place in (3, 4)
                ),
                "1: upstreams.app.servers[1]: same server as upstreams.app.servers[0]",
            ],
            id="a-server-in-two-spellings",
        ),
        pytest.param(
            "upstreams: {app: {servers: ['http://a'], tls: {server_name: b}},"
            " b: {servers: ['http://b'], tls: {}}}",
            ["1: upstreams.app.tls: needs a server at https://"],
            id="tls-without-tls",
        ),
        pytest.param(
            "upstreams: {app: {servers: ['HTTPS://a'], tls: {key: k}},"
            " b: {servers: ['https://b'], tls: {certificate: c, key: k}}}",
            ["1: upstreams.app.tls.key: needs tls.certificate"],
            id="a-key-without-certificate",
        ),
    ],
)
def test_checks(complaints: Complain, text: str, expected: list[str]) -> None:
    """Keys that contradict each other are reported with place and remedy."""
    assert [f"gateway.yaml:{problem}" for problem in expected] == complaints(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("server: {public_url: 'https://a'}", "__Host-session", id="https"),
        pytest.param("server: {public_url: 'HTTP://a'}", "session", id="http"),
        pytest.param(
            "session: {cookie: sid, keys: [0123456789abcdef0123456789abcdef]}", "sid", id="named"
        ),
    ],
)
def test_cookie_default(read: Read, text: str, expected: str) -> None:
    """The default name has the prefix __Host- where public_url is https."""
    assert expected == read(text).session.cookie


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("server:", "1: server.public_url: required", id="an-empty-section"),
        pytest.param("server: []", "1: server: expected a mapping", id="a-list-for-a-section"),
        pytest.param("limits: []", "1: limits: expected a mapping", id="a-list-for-entries"),
        pytest.param("routes: {}", "1: routes: expected a list", id="a-mapping-for-a-list"),
        pytest.param(
            "routes: [{name: a, match: {path: /a, methods: }, upstream: app}]",
            "1: routes[0].match.methods: expected a value; leave the key out for the default",
            id="methods-left-empty",
        ),
        pytest.param(
            "routes: [{name: a, match: {path: /a, methods: []}, upstream: app}]",
            "1: routes[0].match.methods: expected at least one entry",
            id="no-methods",
        ),
        pytest.param(
            "routes: [{name: a, match: {path: /a, methods: GET}, upstream: app}]",
            "1: routes[0].match.methods: expected a list",
            id="a-method-for-methods",
        ),
        pytest.param(
            "routes: [{name: a, match: {path: /a, methods: [any]}, upstream: app}]",
            "1: routes[0].match.methods[0]: expected a request method in upper case, such as GET",
            id="any-in-a-list",
        ),
        pytest.param(
            "server: {public_url: 'https://a', listen: []}",
            "1: server.listen: expected at least one entry",
            id="nowhere-to-listen",
        ),
        pytest.param(
            "server: {public_url: 'https://a', workers: 0}",
            "1: server.workers: expected auto, or a whole number from 1 to 256",
            id="no-workers",
        ),
        pytest.param(
            "server: {public_url: 'https://a', workers: many}",
            "1: server.workers: expected auto, or a whole number from 1 to 256",
            id="many-workers",
        ),
        pytest.param(
            "server: {public_url: 'https://a', max: {fields: true}}",
            "1: server.max.fields: expected text",
            id="a-flag-for-a-number",
        ),
        pytest.param(
            "admin: {lisen: 'a:1'}", "1: admin.lisen: unknown key, did you mean listen?", id="typo"
        ),
        pytest.param(
            "upstreams: {app: {servers: ['http://a'], timeouts: {conect: 1s}}}",
            "1: upstreams.app.timeouts.conect: unknown key, did you mean connect?",
            id="a-typo-deep-down",
        ),
        pytest.param(
            "limits: {rate: {rate: 1/second, prr: ip}}",
            "1: limits.rate.prr: unknown key, did you mean per?",
            id="a-typo-in-an-entry-named-like-a-key",
        ),
        pytest.param("zzz: ${NONE}", "1: zzz: unknown key", id="nothing-like-it"),
        pytest.param(
            "server: {public_url: 'https://a', head_s: 1s}",
            "1: server.head_s: unknown key",
            id="an-attribute-is-no-key",
        ),
    ],
)
def test_shapes(complaints: Complain, text: str, expected: str) -> None:
    """A value of the wrong type is reported with the type that was expected."""
    assert f"gateway.yaml:{expected}" in complaints(text)


def test_every_check_is_in_the_list() -> None:
    """A check that is written but not listed would never run."""
    written = [
        function
        for module in (
            admin_checks,
            checks,
            credential_checks,
            hook_checks,
            limit_checks,
            redis_checks,
        )
        for name, function in vars(module).items()
        if getattr(function, "__module__", "") == module.__name__
        and not name.startswith("_")
        and isinstance(function, FunctionType)
        and function not in (checks.problems, admin_checks.admin_route)
    ]
    assert set(written) == {check.find for check in checks.CHECKS}
    assert len({check.code for check in checks.CHECKS}) == len(checks.CHECKS)
