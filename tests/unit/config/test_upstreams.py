"""Section ``upstreams``: defaults, and values that are refused."""

from collections.abc import Callable

import pytest

from gateway.config.addresses import ServerAddress
from gateway.config.schema import Settings
from gateway.config.upstreams import EjectionSettings, UpstreamSettings, UpstreamTimeoutSettings
from gateway.core.route import Balance, UpstreamTimeouts

Read = Callable[..., Settings]
Complain = Callable[..., list[str]]


def upstream(read: Read, more: str = "") -> UpstreamSettings:
    """The upstream of a config with these keys."""
    return read(f"upstreams: {{app: {{servers: ['http://a:1']{more}}}}}").upstreams["app"]


def test_defaults(read: Read) -> None:
    """Only the servers have no default; health checks and the circuit breaker are off."""
    app = upstream(read)
    assert app.servers == (ServerAddress("http", "a", 1),)
    assert (app.balance, app.host, app.audience) == (Balance.ROUND_ROBIN, "keep", "")
    assert (app.health, app.circuit_breaker, app.max_in_flight) == (None, None, None)
    assert (app.connections, app.retries, app.slow_start_s) == (256, 1, 10)
    assert app.ejection == EjectionSettings(failures=5)
    assert app.tls.verify


@pytest.mark.parametrize(
    ("text", "expected"), [("0", 0), ("0B", 0), ("1KiB", 1024), ("'64KiB'", 65536)]
)
def test_how_much_of_a_body_is_taken_in(read: Read, text: str, expected: int) -> None:
    """64 KiB by default; 0 for nothing."""
    assert upstream(read).buffer_request_bytes == 64 * 1024
    assert upstream(read, f", buffer_request: {text}").buffer_request_bytes == expected


def test_default_timeouts_are_those_of_a_compiled_route() -> None:
    """A route without upstream has the same time-outs as one with a default upstream."""
    assert UpstreamTimeouts() == UpstreamTimeouts(**dict(UpstreamTimeoutSettings()))


def test_health_checks_and_circuit_breaker_have_defaults_once_they_are_on(read: Read) -> None:
    """A path is enough for health checks, and an empty section for the circuit breaker."""
    app = upstream(read, ", health: {path: /healthz}, circuit_breaker: {}")
    assert app.health is not None
    assert (app.health.interval_s, app.health.timeout_s) == (5, 2)
    assert (app.health.healthy_after, app.health.unhealthy_after) == (2, 3)
    assert app.circuit_breaker is not None
    assert (app.circuit_breaker.failures, app.circuit_breaker.pause_s) == (20, 1)


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ("balance: random", "balance: expected 'round-robin', 'least-connections' or 'by-issuer'"),
        ("retries: 11", "retries: expected a whole number from 0 to 10"),
        ("health: {}", "health.path: required"),
        ("health: {path: /a?b}", "health.path: expected a path without ? and #"),
        ("health: ", "health: expected a value; leave the key out"),
        ("circuit_breaker: {failures: 0}", "circuit_breaker.failures: expected a whole number"),
        ("max_in_flight: ", "max_in_flight: expected a value; leave the key out"),
        ("connections: 0", "connections: expected a whole number"),
        ("host: app", "host: expected 'keep' or 'rewrite'"),
        ("timeouts: {connect: 0}", "timeouts.connect: expected a duration"),
        ("ejection: {longest: 11y}", "ejection.longest: expected a duration"),
    ],
)
def test_invalid_values(complaints: Complain, more: str, problem: str) -> None:
    """Each is reported with its key."""
    (found,) = complaints(f"upstreams: {{app: {{servers: ['http://a'], {more}}}}}")
    assert found.startswith(f"gateway.yaml:1: upstreams.app.{problem}")
