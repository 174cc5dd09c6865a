"""
Configs that start, and that a selftest refuses: each for a reason of its own.

`HEAD` stands before each of them. A good config stands beside a bad one where the two are close.
"""

from typing import Final

HEAD: Final = """
magic: {secret_key: sk_live_x, publishable_key: pk_live_1, client_id: x}
redis: {url: "redis://store.internal:6379"}
"""
KEYS: Final = 'session: {keys: ["01234567890123456789012345678901"]}\n'
SERVER: Final = "server: {public_url: https://app.example.com}\n"
APP: Final = 'upstreams: {app: {servers: ["http://app.internal:3000"]}}\n'
ROUTES: Final = "routes:\n"
ADMIN: Final = '  - {name: admin, match: {path: "/admin/*"}, upstream: app}\n'
REST: Final = '  - {name: rest, match: {path: "/*"}, upstream: app}\n'
JWT: Final = """
credentials:
  jwt:
    - issuer: https://a.example
      audience: x
      jwks_url: https://a.example/k
      claims: {email: email}
"""


def public(path: str, more: str = "", name: str = "public", upstream: str = "app") -> str:
    """Return a public route."""
    return (
        f'  - {{name: {name}, match: {{path: "{path}"}}, auth: none, upstream: {upstream}{more}}}\n'
    )


def config(routes: str, *, server: str = SERVER, upstreams: str = APP, more: str = "") -> str:
    """Return a whole config."""
    return (
        HEAD + (more if "session:" in more else more + KEYS) + server + upstreams + ROUTES + routes
    )


def trusting(networks: str, client_ip: str) -> str:
    """Return a server section with trusted proxies."""
    return (
        "server: {public_url: https://app.example.com,"
        f" trusted_proxies: [{networks}], client_ip: {client_ip}}}\n"
    )


ALL_IPV4: Final = '"0.0.0.0/1", "128.0.0.0/1"'

GOOD: Final[dict[str, str]] = {
    "public-below": config(public("/assets/*") + REST),
    "proxies-of-our-own": config(
        public("/assets/*") + REST, server=trusting('"10.0.0.0/8", "fd00::/8"', "x-forwarded-for")
    ),
    "stripped-to-another-path": config(public("/pub/*", ", rewrite: /files") + ADMIN),
    "cors-of-our-own": config(
        '  - {name: rest, match: {path: "/*"}, upstream: app,'
        " cors: {origins: [https://shop.example.com], credentials: true}}\n"
    ),
    "roles": config(
        '  - {name: rest, match: {path: "/*"}, upstream: app, allow: {roles: [staff]}}\n',
        more='identity: {roles: [{role: staff, emails: ["*@example.com"]}]}\n',
    ),
    "networks": config(
        '  - {name: rest, match: {path: "/*"}, upstream: app, allow: {networks: [10.0.0.0/8]}}\n',
    ),
}

BAD: Final[dict[str, tuple[str, str]]] = {
    "public-on-any-other-host": (
        "reached-by-other-host",
        config(
            '  - {name: admin, match: {host: app.example.com, path: "/admin/*"}, upstream: app}\n'
            + public("/*")
        ),
    ),
    "public-in-other-case": ("reached-by-case", config(public("/Admin/*") + ADMIN)),
    "public-by-a-suffix": ("reached-by-suffix", config(public("/admin.json") + ADMIN)),
    "public-behind-a-script": (
        "reached-by-path-info",
        config('  - {name: admin, match: {path: "/admin.php"}, upstream: app}\n' + public("/*")),
    ),
    "public-for-what-is-decoded-twice": (
        "reached-by-double-decoding",
        config(public("/*", ", encoded_slashes: keep") + ADMIN),
    ),
    "public-for-what-unicode-folds": ("reached-by-unicode-folding", config(public("/*") + ADMIN)),
    "public-with-a-dot-at-the-end": (
        "reached-by-trailing-dot",
        config(public("/admin./*") + ADMIN),
    ),
    "public-by-a-stripped-prefix": (
        "reached-by-strip-prefix",
        config(public("/pub/*", ", strip_prefix: /pub") + ADMIN),
    ),
    "public-by-a-rewritten-path": (
        "reached-by-rewrite",
        config(public("/old/*", ", rewrite: /admin") + ADMIN),
    ),
    "public-by-a-second-name-of-the-app": (
        "reached-by-other-upstream",
        config(
            '  - {name: admin, match: {host: app.example.com, path: "/admin/*"}, upstream: app}\n'
            '  - {name: www, match: {path: "/*"}, auth: none, upstream: same}\n',
            upstreams="upstreams:\n"
            '  app: {servers: ["http://app.internal:3000"]}\n'
            '  same: {servers: ["http://app.internal:3000"]}\n',
        ),
    ),
    "public-for-other-methods": (
        "reached-by-other-method",
        config(
            '  - {name: write, match: {path: "/api/*", methods: [POST]}, upstream: app}\n'
            + public("/api/*")
        ),
    ),
    "public-for-a-method-that-is-overridden": (
        "reached-by-method-override",
        config(
            '  - {name: remove, match: {path: "/api/*", methods: [DELETE]}, upstream: app}\n'
            '  - {name: post, match: {path: "/api/*", methods: [GET, POST]}, auth: none,'
            " upstream: app}\n"
        ),
    ),
    "rights-by-a-stripped-prefix": (
        "rights-bypassed-by-strip-prefix",
        config(
            '  - {name: admin, match: {path: "/admin/*"}, upstream: app,'
            " allow: {emails: [ada@example.com]}}\n"
            '  - {name: app, match: {path: "/app/*"}, upstream: app, strip_prefix: /app}\n'
        ),
    ),
    "rights-by-another-host": (
        "rights-bypassed-by-other-host",
        config(
            '  - {name: admin, match: {host: app.example.com, path: "/admin/*"}, upstream: app,'
            " allow: {emails: [ada@example.com]}}\n" + REST
        ),
    ),
    "identity-of-another-gateway": (
        "foreign-identity-passed",
        config(
            REST,
            upstreams='upstreams: {app: {servers: ["http://app.internal:3000"],'
            " headers: {pass: [Remote-User]}}}\n",
        ),
    ),
    "address-by-another-proxy": (
        "foreign-address-passed",
        config(
            REST,
            upstreams='upstreams: {app: {servers: ["http://app.internal:3000"],'
            " headers: {pass: [True-Client-IP]}}}\n",
        ),
    ),
    "checks-that-pass-in-other-case": (
        "check-reached-by-case",
        config(
            '  - {name: wiki, match: {host: wiki.example.com, path: "/wiki/*"}}\n'
            '  - {name: open, match: {host: wiki.example.com, path: "/Wiki/*"}, auth: none}\n',
            server=trusting('"10.0.0.0/8"', "peer"),
        ),
    ),
    "credentials-that-nothing-verified": (
        "credentials-unchecked",
        config(public("/*", ", forward_credentials: true")),
    ),
    "roles-by-an-unverified-email": (
        "role-by-unverified-email",
        config(
            '  - {name: rest, match: {path: "/*"}, upstream: app, accept: [jwt]}\n',
            more=JWT + 'identity: {roles: [{role: staff, emails: ["*@example.com"]}]}\n',
        ),
    ),
    "role-for-a-free-mail-service": (
        "open-to-public-mail",
        config(
            '  - {name: rest, match: {path: "/*"}, upstream: app, allow: {roles: [staff]}}\n',
            more='identity: {roles: [{role: staff, emails: ["*@example.com", "*@gmail.com"]}]}\n',
        ),
    ),
    "deny-without-allow": (
        "deny-evaded",
        config(
            '  - {name: rest, match: {path: "/*"}, upstream: app,'
            " deny: {emails: [mallory@example.com]}}\n"
        ),
    ),
    "proxies-anywhere": (
        "address-spoofed",
        config(REST, server=trusting(ALL_IPV4, "x-forwarded-for")),
    ),
    "proxies-anywhere-in-ipv6": (
        "address-spoofed",
        config(REST, server=trusting('"2000::/3"', "forwarded")),
    ),
    "scheme-from-anywhere": (
        "scheme-spoofed",
        config(REST, server=trusting(ALL_IPV4, "peer")),
    ),
    "checks-for-anyone": (
        "checks-by-strangers",
        config(REST, server=trusting('"64.0.0.0/2"', "peer")),
    ),
    "networks-by-a-claimed-address": (
        "network-rule-spoofed",
        config(
            '  - {name: rest, match: {path: "/*"}, upstream: app,'
            " allow: {networks: [10.0.0.0/8]}}\n",
            server=trusting(ALL_IPV4, "x-forwarded-for"),
        ),
    ),
    "networks-that-are-everywhere": (
        "network-open",
        config(
            '  - {name: rest, match: {path: "/*"}, upstream: app,'
            f" allow: {{networks: [{ALL_IPV4}]}}}}\n"
        ),
    ),
    "return-to-another-site": (
        "redirect-foreign",
        config(REST, more="login: {return_to_hosts: [evil.example]}\n"),
    ),
    "sessions-over-http": (
        "session-in-the-clear",
        config(REST, server="server: {public_url: http://app.example.com}\n"),
    ),
    "cors-for-another-site": (
        "cors-foreign",
        config(
            '  - {name: rest, match: {path: "/*"}, upstream: app,'
            " cors: {origins: [https://evil.example], credentials: true}}\n"
        ),
    ),
    "cors-over-http": (
        "cors-in-the-clear",
        config(
            '  - {name: rest, match: {path: "/*"}, upstream: app,'
            " cors: {origins: [http://shop.example.com], credentials: true}}\n"
        ),
    ),
    "cors-of-development": (
        "cors-local",
        config(
            '  - {name: rest, match: {path: "/*"}, upstream: app,'
            ' cors: {origins: ["http://localhost:3000"], credentials: true}}\n'
        ),
    ),
    "cors-opens-an-intranet": (
        "cors-opens-network",
        config(
            '  - {name: wiki, match: {path: "/*"}, auth: optional, upstream: app,'
            ' allow: {networks: [10.0.0.0/8]}, cors: {origins: ["*"]}}\n'
        ),
    ),
    "route-to-the-private-listener": (
        "admin-reached",
        config(
            public("/metrics", upstream="ops") + REST,
            upstreams='upstreams: {app: {servers: ["http://app.internal:3000"]},'
            ' ops: {servers: ["http://127.0.0.1:9090"]}}\n',
        ),
    ),
    "route-to-the-metadata-of-the-cloud": (
        "metadata-reached",
        config(
            public("/meta/*", upstream="cloud") + REST,
            upstreams='upstreams: {app: {servers: ["http://app.internal:3000"]},'
            ' cloud: {servers: ["http://169.254.169.254"]}}\n',
        ),
    ),
    "route-to-the-gateway-itself": (
        "gateway-reached",
        config(
            public("/again/*", upstream="self") + REST,
            upstreams='upstreams: {app: {servers: ["http://app.internal:3000"]},'
            ' self: {servers: ["http://127.0.0.1:8080"]}}\n',
        ),
    ),
    "route-to-the-store": (
        "store-reached",
        config(
            public("/store/*", upstream="redis") + REST,
            upstreams='upstreams: {app: {servers: ["http://app.internal:3000"]},'
            ' redis: {servers: ["http://store.internal:6379"]}}\n',
        ),
    ),
}
"""By name: the code of the finding, and the config."""
