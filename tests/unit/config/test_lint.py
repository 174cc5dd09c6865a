"""Lints: each finds its oddity, and nothing else."""

from collections.abc import Callable
from pathlib import Path
from types import FunctionType

import pytest

from gateway.config import (
    hook_checks,
    lint_caps,
    lint_limits,
    lint_lists,
    lint_network,
    lint_paths,
    lint_reach,
    lint_rules,
)
from gateway.config import lint as lints
from gateway.config.findings import Severity
from gateway.config.lint import LINTS, lint
from gateway.config.problems import dotted
from gateway.config.schema import Settings
from tests.fakes.keys import PEM, as_yaml

Read = Callable[..., Settings]
SIGNED = f"identity: {{assertion: {{keys: [{as_yaml(PEM)}]}}}}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("routes: []", [], id="nothing-odd"),
        pytest.param(
            "routes: [{name: a, match: {path: /a}, upstream: app, auth: none,"
            " forward_credentials: true}]",
            [("public-with-credentials", "routes[0]")],
            id="a-public-route-that-passes-credentials-on",
        ),
        pytest.param(
            "routes: [{name: a, match: {path: /a}, upstream: app, cors: {credentials: true,"
            " origins: ['https://b.example', 'http://b.example', 'http://localhost:5173']}}]",
            [("cors-in-the-clear", "routes[0].cors.origins[1]")],
            id="a-page-in-the-clear-that-acts-with-sessions",
        ),
        pytest.param(
            "routes: [{name: a, match: {path: /a}, upstream: app,"
            " cors: {origins: ['http://b.example']}}]",
            [],
            id="a-page-in-the-clear-that-only-reads",
        ),
        pytest.param(
            "server: {public_url: 'http://localhost:8080', listen: ['127.0.0.1:8080']}\n"
            "magic: {mode: development}\n"
            "routes: [{name: a, match: {path: /a}, upstream: app,"
            " cors: {origins: ['http://b.example'], credentials: true}}]",
            [],
            id="where-all-is-in-the-clear",
        ),
        pytest.param(
            "limits: {default: {rate: 1/second}, login: {rate: 5/hour, per: email}}",
            [("login-limit-not-demanded", "session.require_attempt")],
            id="a-login-limit-that-can-be-skipped",
        ),
        pytest.param(
            "limits: {default: {rate: 1/second}, login: {rate: 5/hour}}\n"
            "session: {keys: [0123456789abcdef0123456789abcdef], require_attempt: true}",
            [],
            id="a-login-limit-that-cannot-be-skipped",
        ),
        pytest.param(
            "routes: [{name: a, match: {path: /a}, upstream: app, limits: []}]",
            [("checked-without-limit", "routes[0]")],
            id="a-protected-route-whose-limits-were-taken-away",
        ),
        pytest.param(
            "limits: {}\nroutes: [{name: a, match: {path: /a}, upstream: app, auth: optional}]",
            [("checked-without-limit", "routes[0]")],
            id="a-checked-route-where-there-are-no-limits",
        ),
        pytest.param(
            "limits: {default: {concurrent: 3}, api: {rate: 1/second}}\n"
            "routes: [{name: a, match: {path: /a}, upstream: app, limits: [default]},"
            " {name: b, match: {path: /b}, upstream: app},"
            " {name: c, match: {path: /c}, upstream: app, limits: [default, api]}]",
            [("checked-without-limit", "routes[0]"), ("checked-without-limit", "routes[1]")],
            id="places-limit-no-guesses",
        ),
        pytest.param(
            "routes: [{name: a, match: {path: /*}, upstream: app, auth: none, limits: []}]",
            [("public-by-default", "routes[0]")],
            id="everything-is-public-unless-said-otherwise",
        ),
        pytest.param(
            "routes: [{name: a, match: {path: /*}, upstream: app},"
            " {name: b, match: {path: /b/*}, upstream: app, auth: none}]",
            [],
            id="a-public-path-below-a-protected-one",
        ),
        pytest.param(
            "routes: [{name: a, match: {path: /a, methods: [GET]}, upstream: app,"
            " allow: {methods: [POST]}}]",
            [("rule-never-holds", "routes[0].allow[0]")],
            id="a-rule-for-methods-that-the-route-is-not-for",
        ),
        *(
            pytest.param(
                f"magic: {{secret_key: sk_live_1}}\nlogin: {{enabled: {enabled}}}\n"
                f"routes: [{{name: a, match: {{path: /a}}, upstream: app, {route}}}]\n"
                "credentials: {api_keys: {}}",
                [("login-without-key", "magic.publishable_key")] * found,
                id=f"no-publishable-key-{enabled}-{route}",
            )
            for enabled, route, found in (
                ("true", "auth: required", 1),
                ("true", "auth: optional", 1),
                ("true", "auth: none", 0),
                ("true", "accept: [api-key]", 0),
                ("false", "auth: required", 0),
            )
        ),
        pytest.param(
            "routes: [{name: a, match: {path: /*, host: a.example.com}, upstream: app},"
            " {name: b, match: {path: /b}, upstream: app, allow: {auth_methods: [session]}}]",
            [("host-hides-rules", "routes[0]")],
            id="a-host-that-takes-a-path-without-its-rules",
        ),
        pytest.param(
            "routes: [{name: a, match: {path: /*, host: a.example.com}, upstream: app},"
            " {name: c, match: {path: /b, host: a.example.com}, upstream: app,"
            " allow: {auth_methods: [session]}},"
            " {name: b, match: {path: /b}, upstream: app, allow: {auth_methods: [session]}}]",
            [("path-in-another-case", "routes[1].match.path")],
            id="a-host-that-has-the-rules",
        ),
        pytest.param(
            "routes: [{name: a, match: {path: /a, methods: [GET, PUT]}, upstream: app},"
            " {name: b, match: {path: /a, methods: [HEAD]}, upstream: app}]",
            [("route-never-matches", "routes[1]")],
            id="a-route-without-a-method-of-its-own",
        ),
        pytest.param(
            "routes: [{name: a, match: {path: /a, methods: [GET]}, upstream: app,"
            " allow: {methods: [HEAD]}}]",
            [],
            id="a-route-for-get-is-for-head",
        ),
        pytest.param(
            "routes: [{name: a, match: {path: /a}, upstream: app, allow: {auth_methods: [jwt]}}]",
            [("rule-never-holds", "routes[0].allow[0]")],
            id="a-kind-of-credential-that-the-route-does-not-accept",
        ),
        pytest.param(
            "routes: [{name: a, match: {path: /a}, upstream: app, allow: {scopes: [read]}}]",
            [("rule-never-holds", "routes[0].allow[0]")],
            id="scopes-of-people",
        ),
        pytest.param(
            "credentials: {api_keys: {}}\n"
            "routes: [{name: a, match: {path: /a}, upstream: app, accept: [session, api-key],"
            " allow: [{scopes: [read]}, {auth_methods: [session]}]}]",
            [],
            id="scopes-of-programs",
        ),
        pytest.param(
            "routes: [{name: a, match: {path: /a}, upstream: app, allow: [{emails: [a@b.org]},"
            " {emails: [a@b.org], domains: [c.org, '*.b.org']}]}]",
            [("rule-never-holds", "routes[0].allow[1]")],
            id="an-email-of-another-domain",
        ),
        pytest.param(
            "routes: [{name: a, match: {path: /a}, upstream: app,"
            " allow: {emails: [a@x.b.org], domains: ['*.b.org']}}]",
            [],
            id="an-email-of-the-domain",
        ),
        pytest.param(
            "routes: [{name: a, match: {path: /a}, upstream: app, allow: {"
            f"issuers: ['did:ethr:0x{'ab' * 20}'], wallets: ['0x{'ac' * 20}']}}}}]",
            [("rule-never-holds", "routes[0].allow[0]")],
            id="an-issuer-with-another-wallet",
        ),
        pytest.param(
            "routes: [{name: a, match: {path: /a}, upstream: app, allow: {"
            f"issuers: ['did:ethr:0x{'ab' * 20}'], wallets: ['0x{'ab' * 20}']}}}}]",
            [],
            id="an-issuer-with-its-wallet",
        ),
        pytest.param(
            "identity: {roles: [{role: staff, emails: [a@b.org]}]}\n"
            "routes: [{name: a, match: {path: /a}, upstream: app, allow: {roles: [staff, boss]},"
            " deny: {roles: [banned]}}]",
            [
                ("role-nobody-has", "routes[0].allow[0]"),
                ("role-nobody-has", "routes[0].deny[0]"),
            ],
            id="roles-that-the-config-does-not-give",
        ),
        pytest.param(
            "identity: {roles: [{role: staff, emails: [a@b.org]}],"
            " permissions: {staff: [a], boss: [b]}}\n"
            "routes: [{name: a, match: {path: /a}, upstream: app, allow: {permissions: [a, c]}}]",
            [
                ("permission-nobody-has", "identity.permissions.boss"),
                ("permission-nobody-has", "routes[0].allow[0]"),
            ],
            id="permissions-that-no-caller-has",
        ),
        pytest.param(
            "identity: {roles_from_store: true, permissions: {boss: [b]}}\n"
            "routes: [{name: a, match: {path: /a}, upstream: app, allow: {permissions: [b]}}]",
            [],
            id="permissions-of-roles-that-the-store-may-give",
        ),
        pytest.param(
            "identity: {roles_from_store: true}\n"
            "routes: [{name: a, match: {path: /a}, upstream: app, allow: {roles: [staff]}}]",
            [],
            id="roles-that-the-store-may-give",
        ),
        pytest.param(
            "routes: [{name: a, match: {path: /a}, upstream: app, deny: {emails: [a@b.org]}}]",
            [("denied-alone", "routes[0]")],
            id="deny-without-allow",
        ),
        pytest.param(
            "routes: [{name: a, match: {path: /a}, upstream: app, auth: none, limits: [],"
            " deny: {networks: [10.0.0.0/8]}}]",
            [],
            id="networks-kept-from-a-public-route",
        ),
        pytest.param(
            "server: {public_url: 'https://a', trusted_proxies: [10.0.0.0/8]}\n"
            "routes: [{name: a, match: {path: /a}, upstream: app, allow: {networks: [1.0.0.0/8]}}]",
            [("networks-of-proxies", "routes[0].allow[0]")],
            id="networks-behind-a-proxy",
        ),
        pytest.param(
            "server: {public_url: 'https://a', trusted_proxies: [10.0.0.0/8]}\n"
            "routes: [{name: a, match: {path: /a}, upstream: app, allow: {methods: [GET]}}]",
            [],
            id="no-networks-behind-a-proxy",
        ),
        pytest.param(
            "server: {public_url: 'http://app.example.com'}",
            [("secrets-in-the-clear", "server.public_url")],
            id="live-over-http",
        ),
        pytest.param(
            "magic: {secret_key: sk_live_1, api_url: 'http://magic.internal'}",
            [("secrets-in-the-clear", "magic.api_url")],
            id="magic-over-http",
        ),
        pytest.param(
            "magic: {secret_key: sk_live_1, endpoint: 'http://magic.internal'}",
            [("secrets-in-the-clear", "magic.endpoint")],
            id="magics-frame-over-http",
        ),
        pytest.param(
            "login: {accent: '#ffff99', accent_dark: '#222222'}",
            [("pale-accent", "login.accent"), ("pale-accent", "login.accent_dark")],
            id="buttons-that-can-hardly-be-seen",
        ),
        pytest.param(
            "magic: {secret_key: sk_live_1, api_url: 'http://127.0.0.1:9'}",
            [],
            id="a-fake-of-magic-on-this-machine",
        ),
        pytest.param(
            "admin: {listen: '0.0.0.0:9090'}",
            [("admin-for-everybody", "admin.listen")],
            id="the-private-listener-on-every-address",
        ),
        pytest.param("admin: null", [], id="no-private-listener"),
        pytest.param(
            "upstreams: {app: {servers: ['https://a'], tls: {verify: false}}}",
            [("unverified-tls", "upstreams.app.tls.verify")],
            id="any-certificate-is-accepted",
        ),
        pytest.param(
            "upstreams: {app: {servers: ['https://a', 'http://b']}}",
            [("mixed-tls", "upstreams.app.servers")],
            id="one-server-in-the-clear",
        ),
        pytest.param(
            "upstreams: {app: {servers: ['https://a', 'unix:/b']}}", [], id="one-on-this-machine"
        ),
        pytest.param(
            "upstreams: {app: {servers: ['http://a'], health: {path: /x}}}",
            [("checks-without-choice", "upstreams.app.health")],
            id="health-checks-of-one-server",
        ),
        pytest.param(
            "upstreams: {app: {servers: ['http://a', 'http://b'], health: {path: /x}}}",
            [],
            id="health-checks-of-two-servers",
        ),
        *(
            pytest.param(
                f"routes: [{{name: a, match: {{path: {public}}}, auth: none, upstream: app, {how}}}"
                ", {name: b, match: {path: /admin/*}, upstream: app}]",
                [("private-by-another-path", "routes[0]")] * found,
                id=f"{public}-{how}",
            )
            for public, how, found in (
                ("/pub/*", "strip_prefix: /pub", 1),
                ("/pub/admin/x", "strip_prefix: /pub", 1),
                ("/pub/*", "rewrite: /admin/x", 1),
                ("/pub/*", "rewrite: /admin", 1),
                ("/pub/*", "rewrite: /", 1),
                ("/pub", "rewrite: /", 0),
                ("/pub/*", "rewrite: /other", 0),
                ("/pub/*", "rewrite: /administrator", 0),
                ("/pub/assets/*", "strip_prefix: /pub", 0),
            )
        ),
        pytest.param(
            "upstreams: {app: {servers: ['http://a']}, other: {servers: ['http://b']}}\n"
            "routes: [{name: a, match: {path: /p/*}, upstream: app, auth: none, rewrite: /},"
            " {name: b, match: {path: /admin/*}, upstream: other}]",
            [],
            id="another-app",
        ),
        pytest.param(
            "routes: [{name: a, match: {path: /p/*}, upstream: app, rewrite: /},"
            " {name: b, match: {path: /admin/*}, upstream: app}]",
            [],
            id="rewritten-but-not-public",
        ),
        pytest.param(
            "routes: [{name: a, match: {path: /p/*}, upstream: app, auth: none, rewrite: /x},"
            " {name: b, match: {path: /b/*}, upstream: app, rewrite: /x/y}]",
            [("private-by-another-path", "routes[0]")],
            id="both-rewritten",
        ),
        pytest.param(
            "server: {public_url: 'http://localhost', tls: {certificate: /a.crt, key: /a.key}}\n"
            "magic: {mode: development}",
            [("tls-without-https", "server.public_url")],
            id="tls-and-links-without-it",
        ),
        pytest.param(
            "identity: {clock_skew: 2h}",
            [("clocks-apart", "identity.clock_skew")],
            id="clocks-that-are-hours-apart",
        ),
        pytest.param("identity: {clock_skew: 1h}", [], id="clocks-that-are-not"),
        pytest.param(
            "session: {keys: [0123456789abcdef0123456789abcdef], idle: 59s, lifetime: 59s}",
            [("idle-to-no-effect", "session.idle")] * 2,
            id="an-idle-time-of-no-use",
        ),
        pytest.param(
            "session: {keys: [0123456789abcdef0123456789abcdef], idle: 30m, lifetime: 8h}",
            [],
            id="an-idle-time-of-use",
        ),
        pytest.param(
            "session: {keys: [0123456789abcdef0123456789abcdef], idle: 30m}",
            [],
            id="an-idle-time-beside-the-tokens",
        ),
        pytest.param(
            "session: {keys: [0123456789abcdef0123456789abcdef], cookie: __Secure-id}",
            [("foreign-session-cookies", "session.cookie")],
            id="a-cookie-that-siblings-can-set",
        ),
        pytest.param(
            "server: {public_url: 'https://a', listen: ['unix:/run/x.sock']}",
            [("unix-peers-untrusted", "server.trusted_proxies")],
            id="a-unix-socket-behind-which-all-are-one",
        ),
        pytest.param(
            "server: {public_url: 'https://a', listen: ['unix:/run/x.sock'],"
            " trusted_proxies: ['unix:']}",
            [],
            id="a-unix-socket-behind-which-a-proxy-is-trusted",
        ),
        pytest.param(
            "server: {public_url: 'https://a', trusted_proxies: [10.0.0.1]}\n"
            "routes: [{name: a, match: {path: /a}, auth: none}]",
            [("asked-as-one-client", "server.client_ip")],
            id="forward-auth-without-the-address-of-clients",
        ),
        pytest.param(
            "server: {public_url: 'https://a'}\nadmin: {route: a}\n"
            "routes: [{name: a, match: {path: '/a/*'}, allow: {roles: [ops]}}]",
            [("role-nobody-has", "routes[0].allow[0]")],
            id="the-dashboard-is-no-forward-auth",
        ),
        pytest.param(
            "server: {public_url: 'http://a.example'}\nadmin: {route: a}\n"
            "routes: [{name: a, match: {path: '/a/*'}, allow: {emails: [a@a.example]}}]",
            [
                ("secrets-in-the-clear", "server.public_url"),
                ("admin-route-over-http", "admin.route"),
            ],
            id="the-dashboard-over-http",
        ),
        pytest.param("admin: {listen: 'unix:/run/a.sock'}", [], id="a-unix-socket-is-private"),
        pytest.param(
            "admin: {listen: '0.0.0.0:1', tls: {certificate: a, key: b, client_ca: c,"
            " names: ['*@a.example']}}",
            [],
            id="certificates-guard-the-listener",
        ),
        pytest.param(
            "server: {public_url: 'https://a', trusted_proxies: [10.0.0.1],"
            " client_ip: x-forwarded-for}\n"
            "routes: [{name: a, match: {path: /a}, auth: none}]",
            [],
            id="forward-auth-with-the-address-of-clients",
        ),
        pytest.param(
            "upstreams: {app: {servers: ['http://a'], headers: {pass: [Remote-User, Client-IP]}}}",
            [
                ("foreign-identity-passed", "upstreams.app.headers.pass[0]"),
                ("foreign-identity-passed", "upstreams.app.headers.pass[1]"),
            ],
            id="fields-that-clients-can-forge",
        ),
        *(
            pytest.param(
                "server: {public_url: 'https://a', trusted_proxies: [10.0.0.1],"
                " client_ip: x-forwarded-for}\n"
                f"{signed}upstreams: {{app: {{servers: ['http://a'], audience: {audience}}}}}\n"
                f"routes: [{{name: {name}, match: {{path: /a}}, auth: none}}]",
                [("one-audience-for-two", "routes[0].name")] if found else [],
                id=f"{name}-beside-an-app-called-{audience}",
            )
            for signed, name, audience, found in (
                (SIGNED, "app", "''", True),
                (SIGNED, "app", "shop", False),
                (SIGNED, "shop", "shop", True),
                ("", "app", "''", False),
            )
        ),
    ],
)
def test_lint(read: Read, text: str, expected: list[tuple[str, str]]) -> None:
    """Each config has the findings that it should have, and no other."""
    assert expected == [(found.code, dotted(found.path)) for found in lint(read(text))]
    assert all(found.message and found.remedy for found in lint(read(text)))


@pytest.mark.parametrize(("mode", "found"), [(0o600, 0), (0o640, 0), (0o644, 1)])
def test_a_private_key_that_all_users_can_read(
    read: Read, tmp_path: Path, mode: int, found: int
) -> None:
    """A key in a file of mode 0644 can be read by all users of the machine."""
    key = tmp_path / "tls.key"
    key.write_text("secret")
    key.chmod(mode)
    tls = f"{{certificate: /a, key: {key}, certificates: [{{certificate: /a, key: {key}}}]}}"
    findings = lint(read(f"server: {{public_url: 'https://a', tls: {tls}}}"))
    assert ["key-for-everybody"] * 2 * found == [finding.code for finding in findings]


def test_findings_are_sentences(read: Read) -> None:
    """A finding is written with its place, its message, its remedy and its code."""
    (finding,) = lint(read("admin: {listen: '[::]:9090'}"))
    assert finding.text("f", {("admin",): 7}, Severity.WARNING) == (
        "f:7: warning: admin.listen: not on loopback: make sure that only your own machines can"
        " reach it [admin-for-everybody]"
    )


def test_codes_differ() -> None:
    """A code names one lint."""
    assert len({code for code, _ in LINTS}) == len(LINTS)


def test_every_lint_is_in_the_list() -> None:
    """A lint that is written but not listed would never run."""
    written = [
        function
        for module in (
            *(lints, lint_rules, lint_limits, lint_lists, lint_paths, lint_reach),
            *(lint_network, lint_caps, hook_checks),
        )
        for function in vars(module).values()
        if isinstance(function, FunctionType)
        and function.__annotations__.get("return") == lint_rules.LintFindings
    ]
    assert len(written) > 1
    assert set(written) == {function for _, function in LINTS}
