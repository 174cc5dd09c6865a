"""Loading of settings, with all problems of a file reported together."""

from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from textwrap import dedent

import pytest
from pydantic import ValidationError

from gateway.config.addresses import HostPort
from gateway.config.load import load, parse
from gateway.config.schema import Settings
from gateway.core.errors import ConfigError

Read = Callable[..., Settings]
Complain = Callable[..., list[str]]


ENV = {"REDIS_URL": "redis://127.0.0.1"}
LIVE = {
    **ENV,
    "MAGIC_SECRET_KEY": "sk_live_1234567890",
    "SESSION_KEY": "0123456789abcdef0123456789abcdef",
}

DESIGN = """\
server:
  listen: ["0.0.0.0:8080"]
  public_url: https://app.example.com
  workers: auto
  prefix: /_gateway
  trusted_proxies: []
  client_ip: peer
  tls: {certificate: /a.crt, key: /a.key, client_ca: /ca.crt}
  timeouts: {head: 10s, body_idle: 30s, keep_alive: 75s, drain: 30s}
  max: {connections: 10000, head_bytes: 16KiB, fields: 100, body: 1GiB}
admin: {listen: "127.0.0.1:9090"}
redis:
  url: ${REDIS_URL}
  prefix: ""
  timeout: 250ms
magic:
  mode: live
  secret_key: ${MAGIC_SECRET_KEY}
  publishable_key: ${MAGIC_PUBLISHABLE_KEY}
  client_id: ${MAGIC_CLIENT_ID:-}
  api_url:
session:
  cookie: __Host-session
  lifetime: token
  idle: 30m
  keys: ["${SESSION_KEY}"]
identity:
  headers: {issuer: X-User-Issuer, email: X-User-Email, public_address: X-User-Public-Address, phone: X-User-Phone, roles: X-User-Roles}
  metadata_ttl: 1h
  assertion: {header: X-Gateway-Assertion, lifetime: 60s, bind: identity}
  roles: [{role: admin, emails: ["*@example.com"]}, {role: beta, issuers: ["did:ethr:0x…"]}]
limits:
  default: {rate: 300/minute, per: ip}
  login:   {rate: 5/15minutes, per: [ip, email]}
  api:     {rate: 50/second, burst: 100, algorithm: token-bucket, per: issuer, on_store_failure: local, mode: enforce}
hooks:
  first_login: {url: "https://crm.internal/hooks/new-user", secret: "${HOOK_SECRET}"}
upstreams:
  app:
    servers: ["http://127.0.0.1:3000", "http://127.0.0.1:3001"]
    balance: round-robin
    health: {path: /healthz, interval: 5s}
    timeouts: {connect: 2s, response: 30s, idle: 5m}
    retries: 2
    connections: 256
routes:
  - {name: assets, match: {path: "/assets/*"}, auth: none, upstream: app}
  - name: admin
    match: {host: app.example.com, path: "/admin/*", methods: [GET, POST]}
    auth: required
    allow: {roles: [admin]}
    limits: [default, api]
    upstream: app
  - {name: rest, match: {path: "/*"}, auth: required, limits: [default], upstream: app}
"""  # noqa: E501 - as it stands in the design


def no_file(path: str) -> str:
    raise FileNotFoundError(2, "No such file or directory", path)


def test_whole_design_is_known(complaints: Complain) -> None:
    """A config of a later version is refused for the keys that are not supported yet, only."""
    env = {**LIVE, "MAGIC_PUBLISHABLE_KEY": "pk_live_1", "HOOK_SECRET": "whsec_" + "c2Vj" * 8}
    assert complaints(DESIGN, env) == [
        "gateway.yaml:30: identity.assertion.keys: required in live mode",
        "gateway.yaml:31: identity.roles[1].issuers[0]: expected 0x and 40 hex digits",
    ]


def test_defaults() -> None:
    """Keys that are left out have the documented defaults."""
    text = """\
server: {public_url: "https://app.example.com"}
magic: {secret_key: sk_live_1}
session: {keys: [0123456789abcdef0123456789abcdef]}
"""
    settings = parse(text, "f", ENV, no_file)
    server = settings.server
    assert server.listen == (HostPort("0.0.0.0", 8080),)
    assert server.timeouts.model_dump() == {
        "head_s": "10s",
        "body_idle_s": "30s",
        "keep_alive_s": "75s",
        "half_closed_s": "5s",
        "min_rate_bytes": "128B",
        "drain_s": "30s",
        "drain_delay_s": None,
    }
    assert server.max.body_bytes == 1 << 30
    assert settings.admin is not None
    assert settings.admin.listen == HostPort("127.0.0.1", 9090)
    assert settings.redis.url.get_secret_value() == "redis://127.0.0.1"
    assert settings.redis.timeout_s == 0.25
    assert settings.magic.timeout_s == 5.0
    assert settings.magic.api_url is None
    assert settings.session.cookie == "__Host-session"
    assert settings.session.lifetime_s is None
    assert settings.identity.headers.issuer == "X-User-Issuer"
    assert settings.identity.max_token_lifetime_s == 7 * 86_400
    assert (settings.limits, settings.upstreams, settings.routes) == ({}, {}, ())


def test_every_fault_is_reported_with_its_line() -> None:
    """Problems of every kind are reported together, in the order of the file."""
    text = dedent("""\
        server:
          listen: ["0.0.0.0:8080", nowhere]
          public_url: ${PUBLIC_URL}
          timeouts: {heed: 10s}
          timeouts: {head: 1s}
          trusted_proxies: [0.0.0.0/0]
        redis: {url: "redis://h", timeout: soon}
        magic: {mode: live}
        session: {keys: ["${file:/run/secrets/key}"]}
        limits: {"a b": {rate: 1/minute}, slow: {}}
        upstreams: {app: {servers: []}}
        routes:
          - {name: a, match: {path: /a}, upstream: nope, limits: [slow, fast]}
          - {name: a, match: {path: /a}, upstream: app, auth: maybe}
          - {match: {path: /_gateway/login}, upstream: app, methods: [GET]}
        """)
    with pytest.raises(ConfigError) as caught:
        parse(text, "gateway.yaml", {}, no_file)
    assert caught.value.problems == [
        "gateway.yaml:2: server.listen[1]: expected host:port such as 0.0.0.0:8080 or [::]:8080",
        "gateway.yaml:3: server.public_url: the environment variable PUBLIC_URL is not set",
        "gateway.yaml:4: server.timeouts.heed: unknown key, did you mean head?",
        "gateway.yaml:5: server.timeouts: written twice, first on line 4",
        (
            "gateway.yaml:6: server.trusted_proxies[0]: a /0 network would let every client name"
            " its own address"
        ),
        (
            "gateway.yaml:7: redis.timeout: expected a duration such as 250ms, 10s, 5m, 1h or 30d,"
            " up to 3650d"
        ),
        "gateway.yaml:8: magic.secret_key: required in live mode",
        "gateway.yaml:9: session.keys[0]: cannot read /run/secrets/key: No such file or directory",
        (
            "gateway.yaml:10: limits['a b']: expected a name of up to 64 letters, digits, - and _,"
            " starting with a letter or digit"
        ),
        "gateway.yaml:10: limits.slow.rate: required: set it, or concurrent",
        "gateway.yaml:11: upstreams.app.servers: expected at least one entry",
        "gateway.yaml:13: routes[0].upstream: no such upstream; known: app",
        "gateway.yaml:13: routes[0].limits[1]: no such limit; known: a b, slow",
        "gateway.yaml:14: routes[1].auth: expected 'required', 'optional' or 'none'",
        "gateway.yaml:14: routes[1].name: same name as routes[0].name",
        "gateway.yaml:14: routes[1].match: matches the same requests as routes[0].match",
        "gateway.yaml:15: routes[2].name: required",
        "gateway.yaml:15: routes[2].methods: unknown key",
        "gateway.yaml:15: routes[2].match.path: lies under server.prefix, which is reserved",
    ]
    assert caught.value.__cause__ is caught.value.__context__ is None


SECRET = "hunter2" * 5
LEAKY = """\
server:
  listen: ["{secret}"]
  public_url: "{secret}"
  workers: "{secret}"
  prefix: "{secret}"
  trusted_proxies: ["{secret}"]
  client_ip: "{secret}"
  timeouts: {{head: "{secret}"}}
  max: {{body: "{secret}", fields: "{secret}"}}
admin: "{secret}"
redis: {{url: "ftp://:{secret}@h", prefix: "{secret} ", timeout: "{secret}"}}
magic: {{mode: "{secret}", secret_key: ["{secret}"], api_url: "{secret}", client_id: "{secret}\\n"}}
session: {{cookie: "{secret} ", lifetime: "{secret}", keys: ["{secret}\\n", ["{secret}"]]}}
identity: {{headers: {{issuer: "{secret}_"}}}}
limits: {{a: {{rate: "{secret}", per: "{secret}", on_store_failure: "{secret}"}}}}
upstreams: {{app: {{servers: ["{secret}"]}}, b: "{secret}"}}
routes:
  - {{name: "{secret} ", match: {{host: "{secret} ", path: "{secret}", methods: ["{secret}"]}},
      auth: "{secret}", limits: ["{secret}"], upstream: "{secret}",
      forward_credentials: "{secret}", encoded_slashes: "{secret}"}}
  - "{secret}"
"""


@pytest.mark.parametrize("written", [SECRET, "${SECRET}"], ids=["in-the-file", "in-a-variable"])
def test_no_value_is_in_a_message(written: str) -> None:
    """A secret in the wrong place, or in a variable, does not get into a log."""
    with pytest.raises(ConfigError) as caught:
        parse(LEAKY.format(secret=written), "f", {"SECRET": SECRET}, no_file)
    assert len(caught.value.problems) == 37
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None


def test_secrets_are_not_in_the_settings_repr(read: Read) -> None:
    """Settings can be logged."""
    settings = read(
        f"redis: {{url: 'redis://:{SECRET}@h'}}\n"
        f"magic: {{secret_key: {SECRET}}}\n"
        f"session: {{keys: [{SECRET}]}}\n"
    )
    assert settings.magic.secret_key is not None
    assert settings.magic.secret_key.get_secret_value() == SECRET
    for shown in (repr(settings), str(settings), settings.model_dump_json(), settings.model_dump()):
        assert SECRET not in str(shown)


def test_settings_are_written_as_they_are_read(read: Read) -> None:
    """Settings can be written as YAML and read again, except for the secrets."""
    settings = read(
        "server: {public_url: 'https://app.example.com', trusted_proxies: [10.0.0.0/8],"
        " client_ip: x-forwarded-for}\n"
        "session: {lifetime: 12h, keys: [0123456789abcdef0123456789abcdef]}\n"
        "routes: [{name: a, match: {host: '[::1]', path: /a, methods: [GET]}, upstream: app}]"
    )
    secrets = {"redis": {"url"}, "magic": {"secret_key"}, "session": {"keys"}}
    written = settings.model_dump(mode="json", by_alias=True, exclude=secrets, exclude_none=True)
    written["redis"]["url"] = settings.redis.url.get_secret_value()
    again = Settings.model_validate(written)
    assert again.model_dump(exclude=secrets) == settings.model_dump(exclude=secrets)
    assert again.server.trusted_proxies == (ip_network("10.0.0.0/8"),)
    assert again.session.lifetime_s == 43_200.0


def test_settings_are_frozen(read: Read) -> None:
    """A setting does not change while requests use it."""
    settings = read("")
    with pytest.raises(ValidationError) as caught:
        settings.server = settings.server  # type: ignore[misc]
    assert ["frozen_instance"] == [error["type"] for error in caught.value.errors()]


@pytest.mark.parametrize(
    ("text", "env", "expected"),
    [
        pytest.param("", ENV, [], id="the-store-from-the-environment"),
        pytest.param("redis:", ENV, [], id="an-empty-section"),
        pytest.param("redis: {url: ''}", ENV, [], id="an-unset-variable"),
        pytest.param("redis: {url: 'embedded://'}", {}, [], id="the-store-in-the-file"),
        pytest.param(
            "",
            {},
            ["gateway.yaml:1: redis.url: required, here or in the environment variable REDIS_URL"],
            id="no-store-at-all",
        ),
        pytest.param(
            "",
            {
                "UPSTASH_REDIS_REST_URL": "https://name.upstash.io",
                "UPSTASH_REDIS_REST_TOKEN": "secret",
            },
            [],
            id="upstash-rest",
        ),
        pytest.param(
            "",
            {"KV_REST_API_URL": "https://name.upstash.io"},
            [
                "gateway.yaml:1: redis.url: KV_REST_API_URL is set, but KV_REST_API_TOKEN is not",
            ],
            id="rest-without-a-token",
        ),
        pytest.param(
            "redis: {url: 'upstash+https://name.upstash.io', token: secret}",
            {},
            [],
            id="rest-in-the-file",
        ),
        pytest.param(
            "redis: {url: 'upstash+https://name.upstash.io'}",
            {},
            ["gateway.yaml:1: redis.token: required with upstash+https://: set it"],
            id="rest-in-the-file-without-a-token",
        ),
        pytest.param(
            "redis: {token: secret}",
            ENV,
            [
                "gateway.yaml:1: redis.token: needs an upstash+https:// URL in redis.url",
            ],
            id="a-token-for-nothing",
        ),
        pytest.param(
            "",
            {**ENV, "UPSTASH_REDIS_REST_URL": "https://name.upstash.io"},
            [],
            id="upstash-by-its-redis-url",
        ),
        pytest.param(
            "redis: 5", ENV, ["gateway.yaml:1: redis: expected a mapping"], id="not-a-section"
        ),
    ],
)
def test_store(complaints: Complain, text: str, env: dict[str, str], expected: list[str]) -> None:
    """The store's URL is in the file, or else in the environment."""
    assert expected == complaints(text, env)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", "server.public_url: required", id="an-empty-file"),
        pytest.param("- a", "expected a mapping", id="a-list"),
        pytest.param("hello", "expected a mapping", id="text"),
    ],
)
def test_no_config(text: str, expected: str) -> None:
    """An empty file, or one of another type, is reported with what is missing."""
    with pytest.raises(ConfigError) as caught:
        parse(text, "f", {}, no_file)
    assert f"f:1: {expected}" in caught.value.problems


def test_load(tmp_path: Path) -> None:
    """A file and the files that it names are read."""
    (tmp_path / "key").write_text("0123456789abcdef0123456789abcdef\n")
    config = tmp_path / "gateway.yaml"
    config.write_text(
        "server: {public_url: 'https://app.example.com'}\n"
        "magic: {secret_key: sk_live_1}\n"
        f"session: {{keys: ['${{file:{tmp_path}/key}}']}}\n"
    )
    settings = load(config, ENV)
    (key,) = settings.session.keys
    assert key.get_secret_value() == "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("octets", "message"),
    [
        pytest.param(None, "cannot be read: No such file or directory", id="no-file"),
        pytest.param(b"\xff", "not UTF-8 text", id="no-text"),
        pytest.param(b"#" * (8 << 20) + b"\n", "larger than 8 MiB", id="too-large"),
    ],
)
def test_unreadable_file(tmp_path: Path, octets: bytes | None, message: str) -> None:
    """A file that cannot be read is a config error that names it."""
    config = tmp_path / "gateway.yaml"
    if octets is not None:
        config.write_bytes(octets)
    with pytest.raises(ConfigError) as caught:
        load(config, ENV)
    assert caught.value.problems == [f"{config}: {message}"]


@pytest.mark.parametrize(
    ("name", "env"),
    [
        pytest.param("gateway.yaml", LIVE, id="the-reference"),
        pytest.param("development.yaml", {}, id="development-needs-no-secrets"),
    ],
)
def test_shipped_configs(config_dir: Path, name: str, env: dict[str, str]) -> None:
    """The shipped configs are valid."""
    assert load(config_dir / name, env).routes
