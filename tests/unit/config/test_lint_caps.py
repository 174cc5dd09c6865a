"""Lints of limits and caps that have no effect, or not the one that is meant."""

from collections.abc import Callable

import pytest

from gateway.config.lint import lint
from gateway.config.lint_caps import CAP_LINTS
from gateway.config.problems import dotted
from gateway.config.schema import Settings

Read = Callable[..., Settings]
CODES = {code for code, _ in CAP_LINTS}
UNUSED, NEVER, STARVES = "limit-unused", "limit-never-bites", "one-client-starves"
APP = "upstreams: {app: {servers: ['http://127.0.0.1'], %s}}\n"
SERVER = "server: {public_url: 'https://a', %s}\n"


def found(settings: Settings) -> list[tuple[str, str]]:
    return [(each.code, dotted(each.path)) for each in lint(settings) if each.code in CODES]


def routes(*limits: str) -> str:
    listed = (
        f"{{name: r{n}, match: {{path: /{n}}}, upstream: app, limits: [{each}]}}"
        for n, each in enumerate(limits)
    )
    return f"routes: [{', '.join(listed)}]"


def test_limits_that_no_route_uses(read: Read) -> None:
    """Those that the gateway charges by itself need none."""
    own = "default: {rate: 1/hour}, login: {rate: 1/hour}, failures: {rate: 1/hour}"
    text = f"limits: {{{own}, a: {{rate: 1/day}}, b: {{rate: 1/day}}}}\n{routes('a')}"
    assert [(UNUSED, "limits.b")] == found(read(text))


@pytest.mark.parametrize(
    ("one", "other", "is_found"),
    [
        pytest.param("rate: 1/second", "rate: 61/minute", True, id="more-than-may-come"),
        pytest.param("rate: 1/second", "rate: 60/minute", False, id="fewer-than-may-come"),
        pytest.param("rate: 300/minute", "rate: 50/second", False, id="bursts"),
        pytest.param("rate: 5/minute", "rate: 10/second", True, id="larger-bursts"),
        pytest.param(
            "rate: 1/second, algorithm: token-bucket", "rate: 61/minute", True, id="a-bucket"
        ),
        pytest.param(
            "rate: 1/second, algorithm: token-bucket, burst: 9", "rate: 61/minute", False,
            id="a-bucket-with-a-burst",
        ),
        pytest.param(
            "rate: 1/second", "rate: 90/minute, algorithm: token-bucket, burst: 9", False,
            id="a-small-burst",
        ),
        pytest.param("rate: 1/second, per: issuer", "rate: 90/minute", False, id="other-callers"),
        pytest.param("rate: 1/second, mode: shadow", "rate: 90/minute", False, id="a-shadow"),
        pytest.param("rate: 1/second", "rate: 90/minute, mode: shadow", False, id="the-other"),
        pytest.param("rate: 1/second, overrides: true", "rate: 90/minute", False, id="overrides"),
        pytest.param("rate: 1/second", "rate: 90/minute, overrides: true", False, id="its-own"),
        pytest.param("rate: 1/second, allow: [10.0.0.0/8]", "rate: 90/minute", False, id="a-list"),
        pytest.param("rate: 1/second, approximate: true", "rate: 90/minute", False, id="roughly"),
        pytest.param(
            "rate: 1/second, on_store_failure: open", "rate: 90/minute", False,
            id="open-without-the-store",
        ),
        pytest.param("concurrent: 1", "rate: 90/minute", False, id="requests-under-way"),
    ],
)  # fmt: skip
def test_limits_behind_others(read: Read, one: str, other: str, *, is_found: bool) -> None:
    """A limit never bites where another one of the same callers refuses them before."""
    limits = f"limits: {{default: {{rate: 1/hour}}, one: {{{one}}}, other: {{{other}}}}}\n"
    expected = [(NEVER, "limits.other")] * is_found
    assert expected == found(read(limits + routes("one, other", "other, one")))
    assert [] == found(read(limits + routes("one, other", "other")))


@pytest.mark.parametrize(
    ("entry", "server", "is_found"),
    [
        ("concurrent: 1000", "", True),
        ("concurrent: 999", "", False),
        ("concurrent: 1000, per: issuer", "", False),
        ("concurrent: 1000", "trusted_proxies: [10.0.0.1]", False),
        ("concurrent: 50", "max: {connections_per_client: 50}", True),
    ],
)
def test_limits_above_a_cap(read: Read, entry: str, server: str, *, is_found: bool) -> None:
    """A connection has one request under way at a time; trusted proxies have no cap."""
    text = f"{SERVER % server}limits: {{default: {{rate: 1/hour}}, a: {{{entry}}}}}\n{routes('a')}"
    assert [(NEVER, "limits.a.concurrent")] * is_found == found(read(text))


@pytest.mark.parametrize(
    ("app", "server", "limits", "key"),
    [
        pytest.param("connections: 256", "", "default", None, id="shared-out"),
        pytest.param("max_in_flight: 100", "", "default", "max_in_flight", id="in-flight"),
        pytest.param("max_in_flight: 1001", "", "default", None, id="more-than-one-client-has"),
        pytest.param(
            "max_in_flight: 1001", "trusted_proxies: [10.0.0.1]", "default", "max_in_flight",
            id="clients-of-a-proxy-have-no-cap",
        ),
        pytest.param("connections: 3", "", "default", "connections", id="too-few-to-share"),
        pytest.param("max_in_flight: 100", "", "few", None, id="a-limit-below-it"),
        pytest.param("max_in_flight: 9", "", "few", "max_in_flight", id="a-limit-above-it"),
        pytest.param("max_in_flight: 100", "", "shadow", "max_in_flight", id="a-shadow"),
    ],
)  # fmt: skip
def test_apps_that_one_client_starves(
    read: Read, app: str, server: str, limits: str, key: str | None
) -> None:
    """A cap of which no part is kept for others, and a route by which one client takes it all."""
    text = (
        SERVER % server
        + APP % app
        + "limits: {default: {rate: 1/hour}, few: {concurrent: 10},"
        + " shadow: {concurrent: 10, mode: shadow}}\n"
        + routes("few, shadow", limits)
    )
    expected = [(STARVES, f"upstreams.app.{key}")] if key else []
    assert expected == found(read(text))


def test_a_client_that_may_have_all_connections(read: Read) -> None:
    """Then no other client can connect."""
    text = SERVER % "max: {connections: 1000, connections_per_client: 1000}"
    assert [(STARVES, "server.max.connections_per_client")] == found(read(text))
    text = SERVER % "max: {connections: 1001, connections_per_client: 1000}"
    assert [] == found(read(text))
