"""Isolation: a selftest reaches nothing that a config names."""

from pathlib import Path

import pytest

from gateway.config.load import parse
from gateway.config.schema import Settings
from gateway.selftest.isolation import StandIns, isolated
from gateway.selftest.lab import opened
from gateway.users.development import DevelopmentMagic

WALLET = "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed"
EVERYTHING = f"""
server:
  public_url: https://app.example.com
  listen: ["0.0.0.0:8080"]
  tls: {{certificate: /real/tls.crt, key: /real/tls.key}}
  trusted_proxies: [10.0.0.0/8]
  timeouts: {{drain_delay: 5s}}
admin: {{listen: "127.0.0.1:9090"}}
redis: {{url: "redis://real.internal:6379", prefix: "real:"}}
magic: {{secret_key: sk_live_real, api_url: https://real.internal, client_id: x}}
session: {{keys: ["01234567890123456789012345678901"], cookie: __Host-mine, require_attempt: true}}
login: {{logo: /real/logo.svg}}
audit: {{file: /real/audit.jsonl, key: "{"A" * 43}="}}
hooks:
  endpoints:
    - name: a
      url: https://real.internal/hook
      events: [user.login]
      secret: "whsec_{"A" * 43}="
credentials:
  jwt: [{{issuer: https://a.example, audience: x, jwks_url: https://real.internal/jwks}}]
limits:
  default: {{rate: 1/minute, deny: [192.0.2.1, {{file: /real/deny.txt}}]}}
  running: {{concurrent: 1}}
identity:
  headers: {{issuer: X-Mine}}
  roles: [{{role: admin, wallets: ["{WALLET}"]}}]
upstreams:
  app: {{servers: ["https://real.internal"], health: {{path: /real}}, tls: {{ca: /real/ca.pem}}}}
routes:
  - {{name: app, match: {{path: "/*"}}, upstream: app, allow: {{issuers: ["did:ethr:{WALLET}"]}}}}
"""

PLAIN = """
server: {public_url: https://app.example.com}
redis: {url: "redis://real.internal"}
magic: {mode: live, secret_key: sk_test_0}
session: {keys: ["01234567890123456789012345678901"]}
upstreams: {app: {servers: ["http://real.internal"]}}
routes: [{name: app, match: {path: "/*"}, upstream: app}]
"""


def both() -> tuple[Settings, Settings]:
    """The settings of an operator, and what a selftest runs."""
    settings = parse(EVERYTHING, "x", {}, lambda path: path)
    people = StandIns(DevelopmentMagic(b"x" * 32))
    return settings, isolated(settings, {"app": Path("/s")}, {0: Path("/k")}, people)


def test_nothing_real_is_left() -> None:
    """No server, store, key, file or address of the config is in what runs."""
    settings, under_test = both()
    assert "real" in repr(settings)
    assert "real" not in repr(under_test)
    assert "embedded://" == under_test.redis.url.get_secret_value()
    assert ("development", None, None) == (
        under_test.magic.mode,
        under_test.magic.secret_key,
        under_test.admin,
    )
    assert (None, ()) == (under_test.server.tls, under_test.hooks.all_endpoints)
    assert ((), None) == (under_test.session.keys, under_test.audit)


async def test_nothing_is_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attacks are no traffic: the collector that the environment names gets no spans."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "no-such-exporter")
    settings = parse(PLAIN, "x", {}, lambda path: path)
    async with opened(settings) as lab:
        assert lab.settings.routes


def test_what_is_tested_is_left() -> None:
    """Routes, names, cookie, proxies and lists are those of the operator."""
    settings, under_test = both()
    assert settings.server.trusted_proxies == under_test.server.trusted_proxies
    assert settings.identity.headers == under_test.identity.headers
    assert settings.session.cookie == under_test.session.cookie
    assert settings.routes[0].match == under_test.routes[0].match
    assert 1 == len(under_test.limits["default"].deny)


def test_limits_do_not_hide_what_is_reached() -> None:
    """Rates are so high that no attack is answered 429."""
    _, under_test = both()
    rate, running = under_test.limits["default"].rate, under_test.limits["running"].concurrent
    assert rate is not None
    assert running is not None
    assert min(rate.requests, running) >= 1_000_000


def test_stand_ins() -> None:
    """People that the config names by a key are those of development mode, in every rule."""
    _, under_test = both()
    (rule,) = under_test.routes[0].allow or ()
    issuers, wallets = rule.issuers, under_test.identity.roles[0].wallets
    assert issuers is not None
    assert wallets is not None
    assert [True] == [name.startswith("did:ethr:0x") for name in issuers]
    assert WALLET not in {*wallets, *(name.rpartition(":")[2] for name in issuers)}
