"""Lints of trusted networks, plain text to apps, and time-outs."""

from collections.abc import Callable

import pytest

from gateway.config.lint import lint
from gateway.config.lint_network import NETWORK_LINTS
from gateway.config.problems import dotted
from gateway.config.schema import Settings

Read = Callable[..., Settings]
CODES = {code for code, _ in NETWORK_LINTS}


def found(settings: Settings) -> list[tuple[str, str]]:
    return [(each.code, dotted(each.path)) for each in lint(settings) if each.code in CODES]


@pytest.mark.parametrize(
    ("networks", "places"),
    [
        pytest.param("10.0.0.0/8, 'fd00::/8', 'fe80::/10', 127.0.0.1, 'unix:'", [], id="inner"),
        pytest.param("104.16.0.0/13, '2400:cb00::/32', 192.0.2.7", [], id="one-operator"),
        pytest.param("0.0.0.0/1", [0], id="a-half"),
        pytest.param("0.0.0.0/1, 10.0.0.0/8, 128.0.0.0/1", [0, 2], id="two-halves"),
        pytest.param("52.0.0.0/8", [0], id="a-public-block-of-8-bits"),
        pytest.param("52.0.0.0/9, 52.128.0.0/9", [0, 1], id="two-parts-of-it"),
        pytest.param("'2000::/3', 'unix:'", [0], id="all-of-ipv6"),
        pytest.param("'2600::/19', '2600:2000::/19'", [0, 1], id="two-parts-of-ipv6"),
    ],
)
def test_trust_of_the_internet(read: Read, networks: str, places: list[int]) -> None:
    """Networks are judged together, so that no row of small ones is as wide as a large one."""
    text = f"server: {{public_url: 'https://a', trusted_proxies: [{networks}]}}"
    expected = [("trusts-the-internet", f"server.trusted_proxies[{place}]") for place in places]
    assert expected == found(read(text))


@pytest.mark.parametrize(
    ("server", "auth", "is_found"),
    [
        ("http://10.0.0.5:3000", "required", True),
        ("http://app.internal", "optional", True),
        ("http://[2001:db8::1]:1", "required", True),
        ("http://app.internal", "none", False),
        ("https://app.internal", "required", False),
        ("http://127.0.0.1:3000", "required", False),
        ("http://[::1]:3000", "required", False),
        ("http://localhost", "required", False),
        ("http://app:3000", "required", False),
        ("unix:/run/app.sock", "required", False),
    ],
)
def test_identity_in_the_clear(read: Read, server: str, auth: str, *, is_found: bool) -> None:
    """Identity crosses a network where the app is on another machine and callers are known."""
    text = (
        f"upstreams: {{app: {{servers: ['{server}']}}}}\n"
        f"routes: [{{name: a, match: {{path: /a}}, upstream: app, auth: {auth}}}]"
    )
    expected = [("identity-in-the-clear", "upstreams.app.servers[0]")] * is_found
    assert expected == found(read(text))


@pytest.mark.parametrize(
    ("text", "places"),
    [
        pytest.param("routes: []", [], id="the-defaults"),
        pytest.param(
            "server: {public_url: 'https://a', timeouts: {head: 1h, body_idle: 1h, keep_alive: 2h,"
            " half_closed: 2h}}",
            [
                f"server.timeouts.{key}"
                for key in ("head", "body_idle", "keep_alive", "half_closed")
            ],
            id="of-clients",
        ),
        pytest.param(
            "redis: {url: 'redis://h', timeout: 2m}\nmagic: {secret_key: sk_live_1,"
            " publishable_key: p, timeout: 2m}",
            ["redis.timeout", "magic.timeout"],
            id="of-redis-and-magic",
        ),
        pytest.param(
            "upstreams: {app: {servers: ['http://localhost'], timeouts: {connect: 2m, response: 2h,"
            " idle: 2d}}}",
            [f"upstreams.app.timeouts.{key}" for key in ("connect", "response", "idle")],
            id="of-an-app",
        ),
        pytest.param(
            "routes: [{name: a, match: {path: /a}, upstream: app, timeouts: {response: 2h}}]",
            ["routes[0].timeouts.response"],
            id="of-a-route",
        ),
    ],
)
def test_timeouts_as_none(read: Read, text: str, places: list[str]) -> None:
    """A time-out that is far longer than its default holds what it should free."""
    assert [("timeout-as-none", place) for place in places] == found(read(text))
