"""Pages that were opened by another name than ``server.public_url``."""

import logging

import pytest
from aiohttp.test_utils import make_mocked_request

from gateway.config.load import parse
from gateway.config.schema import Settings
from gateway.core.errors import CrossSite
from gateway.pages.own_origin import OwnOrigin
from tests.fakes.memory import FakeClock

LIVE = """
server: {public_url: https://app.example.com}
redis: {url: 'redis://127.0.0.1'}
magic: {secret_key: sk_live_1234567890}
session: {keys: [0123456789abcdef0123456789abcdef]}
"""


def _settings(public_url: str = "http://localhost:8080") -> Settings:
    text = f"""
server: {{public_url: '{public_url}'}}
redis: {{url: 'embedded://'}}
magic: {{mode: development}}
"""
    return parse(text, "gateway.yaml", {}, lambda path: path)


def _live() -> Settings:
    return parse(LIVE, "gateway.yaml", {}, lambda path: path)


def _place(
    settings: Settings, host: str, path: str = "/_gateway/login", method: str = "GET", **fields: str
) -> str | None:
    """Where a request is redirected to, if it is."""
    sent = {"Host": host, **{name.replace("_", "-"): value for name, value in fields.items()}}
    answer = OwnOrigin(settings).redirect(make_mocked_request(method, path, sent))
    return None if answer is None else answer.headers["Location"]


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:8080", "[::1]:8080", "127.0.0.2", "127.0.0.1:9000", "app.localhost:8080"],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_navigation_by_another_loopback_name_is_redirected(host: str, method: str) -> None:
    """To the same path and query at the public origin."""
    path = "/_gateway/login?return_to=%2Fme"
    expected = "http://localhost:8080/_gateway/login?return_to=%2Fme&moved=1"
    assert expected == _place(_settings(), host, path, method)
    assert "http://localhost:8080/_gateway/login?moved=1" == _place(_settings(), host)
    assert _place(_settings(), host, Sec_Fetch_Mode="navigate") is not None


@pytest.mark.parametrize(
    ("public_url", "host"),
    [
        ("http://localhost:8080", "localhost:8080"),
        ("http://localhost:8080", "LOCALHOST:8080"),
        ("http://localhost", "localhost:80"),
        ("http://localhost:8080", "localhost:9000"),
        ("http://localhost:8080", "app.example.com"),
        ("http://localhost:8080", "192.0.2.1:8080"),
        ("http://localhost:8080", "evil.localhost.example"),
        ("http://localhost:8080", "a b"),
        ("http://localhost:8080", ""),
    ],
)
def test_other_hosts_stay(public_url: str, host: str) -> None:
    """The public one, by any port; those of other machines, which a proxy may have set."""
    assert _place(_settings(public_url), host) is None


def test_what_is_no_navigation_stays() -> None:
    """Scripts, forms, and a request that was redirected once: a proxy in front rewrites Host."""
    host = "127.0.0.1:8080"
    assert _place(_settings(), host, Sec_Fetch_Mode="cors") is None
    assert _place(_settings(), host, method="POST") is None
    assert _place(_settings(), host, "/_gateway/login?moved=1") is None


def test_live_mode_does_not_redirect() -> None:
    """Host is what a proxy in front made of it."""
    assert _place(_live(), "127.0.0.1:8080") is None


def _refused(own: OwnOrigin, host: str, origin: str) -> None:
    request = make_mocked_request("POST", "/", {"Host": host, "Origin": origin})
    with pytest.raises(CrossSite):
        own.refuse_foreign_page(request)


def test_the_log_says_what_to_do_about_a_page_of_our_own(caplog: pytest.LogCaptureFixture) -> None:
    """Once a minute, with both addresses."""
    clock = FakeClock()
    own = OwnOrigin(_live(), clock)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            _refused(own, "10.0.0.5:8080", "http://10.0.0.5:8080")
        assert 1 == len(caplog.records)
        clock.now_s += 61
        _refused(own, "10.0.0.5", "https://10.0.0.5")
    assert 2 == len(caplog.records)
    message = caplog.records[0].getMessage()
    assert "http://10.0.0.5:8080" in message
    assert "set server.public_url" in message
    assert "https://app.example.com" in message


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://a b", "ftp://10.0.0.5"])
def test_a_page_of_another_site_is_no_fault_of_the_config(
    origin: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is refused without a warning, so that it cannot fill the log."""
    with caplog.at_level(logging.WARNING):
        _refused(OwnOrigin(_live()), "10.0.0.5", origin)
    assert [] == caplog.records


def test_our_own_pages_and_programs_pass() -> None:
    """Without ``Origin``, or with the public one."""
    own = OwnOrigin(_live())
    own.refuse_foreign_page(make_mocked_request("POST", "/", {"Host": "10.0.0.5"}))
    public = {"Host": "10.0.0.5", "Origin": "https://app.example.com"}
    own.refuse_foreign_page(make_mocked_request("POST", "/", public))
