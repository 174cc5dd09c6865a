"""The limit named ``login``, and the keys of counters."""

from collections.abc import Callable

import pytest

from gateway.config.compile import login_limits
from gateway.config.schema import Settings
from gateway.core.limit import Limit

Read = Callable[..., Settings]
Complain = Callable[..., list[str]]


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
            "limits: {a: {rate: 1/hour, per: email}}",
            "limits.a.per: only the limit named login can count by email",
            id="another-limit",
        ),
        pytest.param(
            "limits: {default: {rate: 1/hour, per: [ip, email]}}",
            "limits.default.per: only the limit named login can count by email",
            id="the-default",
        ),
        pytest.param(
            "limits: {login: {rate: 1/hour, per: email}}\n"
            "routes: [{name: a, match: {path: /a}, upstream: app, limits: [login]}]",
            "routes[0].limits[0]: a route cannot count by email: set per: ip, or remove it",
            id="a-route",
        ),
        pytest.param(
            "limits: {login: {rate: 1/hour, per: email, ip_rate: 1/hour}}",
            "limits.login.ip_rate: needs per: [ip, email]",
            id="a-rate-for-nothing",
        ),
        pytest.param(
            "limits: {a: {rate: 1/hour, per: issuer}}",
            "limits.a.per: issuer is not supported yet",
            id="issuer",
        ),
        pytest.param(
            "limits: {login: {rate: 1/hour, per: [ip, issuer]}}",
            "limits.login.per[1]: expected 'ip' or 'email'",
            id="issuer-in-a-list",
        ),
        pytest.param(
            "limits: {login: {rate: 1/hour, per: [ip, ip]}}",
            "limits.login.per: expected each once",
            id="twice",
        ),
        pytest.param(
            "limits: {a: {rate: 1/hour, mode: shadow}}",
            "limits.a.mode: shadow is not supported yet",
            id="a-mode-of-later",
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
            "limits: {login: {rate: 1/hour, per: []}}",
            "limits.login.per: expected ip, email or both",
            id="nothing",
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
