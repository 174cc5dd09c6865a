"""Redirects to the login page."""

from dataclasses import replace

import pytest

from gateway.authn.login_redirect import LoginPage, is_navigation
from gateway.authn.return_to import ReturnTo
from gateway.core.errors import (
    PROBLEM_TYPES,
    AmbiguousCredentials,
    ExpiredToken,
    Forbidden,
    InvalidToken,
    MagicUnavailable,
    Refusal,
    SessionEnded,
    SignInFirst,
    StoreUnavailable,
    Unauthenticated,
)
from gateway.core.identity import AuthMethod
from gateway.core.reasons import ForbiddenReason
from gateway.core.route import Auth, Route
from gateway.routing.target import canonical_target
from tests.fakes.heads import request_head

OURS = "https://app.example.com"
PAGE = LoginPage(OURS, "/_gateway", ReturnTo(OURS, "/_gateway"))
PRIVATE = Route("private", "/*", "app")
INTERNAL = Route("who-am-i", "/_gateway/*", "pages", auth=Auth.REQUIRED, is_internal=True)

NAVIGATES = ("Sec-Fetch-Mode", "navigate")
HTML = ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
BEARER = ("Authorization", "Bearer x")


@pytest.mark.parametrize(
    ("fields", "method", "expected"),
    [
        pytest.param([NAVIGATES], "GET", True, id="browser"),
        pytest.param([NAVIGATES, HTML], "HEAD", True, id="head"),
        pytest.param([HTML], "GET", True, id="older-browser"),
        pytest.param([("Accept", "Text/HTML")], "GET", True, id="any-case"),
        pytest.param([("Accept", " text/html ; q=0.9")], "GET", True, id="with-a-weight"),
        pytest.param([("Accept", "application/xhtml+xml")], "GET", True, id="xhtml"),
        pytest.param([NAVIGATES, ("Authorization", "Basic YTpi")], "GET", True, id="basic"),
        pytest.param([], "GET", False, id="says-nothing"),
        pytest.param([("Accept", "*/*")], "GET", False, id="curl"),
        pytest.param([("Accept", "application/json, text/html")], "GET", False, id="html-second"),
        pytest.param([("Accept", "text/html;q=0, */*")], "GET", False, id="html-not-accepted"),
        pytest.param([("Accept", "text/html;q=0")], "GET", False, id="nothing-but-html-refused"),
        pytest.param(
            [("Accept", "text/html;q=0.5, application/json")], "GET", False, id="html-by-weight"
        ),
        pytest.param(
            [("Accept", "application/json;q=0.9, text/html")], "GET", True, id="json-by-weight"
        ),
        pytest.param(
            [("Accept", "*/*;q=0.1, text/html;level=1;q=0.2")], "GET", True, id="least-weight"
        ),
        pytest.param([("Accept", "text/html;q=0.8, */*")], "GET", False, id="rather-anything"),
        pytest.param([("Accept", "text/html;q=x")], "GET", False, id="no-weight"),
        pytest.param([("Accept", "text/*")], "GET", False, id="any-text"),
        pytest.param([("Accept", "a/b;q=0.1," * 99 + "text/html")], "GET", False, id="far-behind"),
        pytest.param([("Accept", "text/html5")], "GET", False, id="not-quite-html"),
        pytest.param([("Accept", "")], "GET", False, id="nothing-accepted"),
        pytest.param([NAVIGATES, HTML], "POST", False, id="form"),
        pytest.param([NAVIGATES, HTML], "OPTIONS", False, id="options"),
        pytest.param([("Sec-Fetch-Mode", "cors"), HTML], "GET", False, id="fetch-for-html"),
        pytest.param([("Sec-Fetch-Mode", "no-cors"), HTML], "GET", False, id="image"),
        pytest.param([("Sec-Fetch-Mode", "websocket"), HTML], "GET", False, id="websocket"),
        pytest.param([NAVIGATES, NAVIGATES], "GET", False, id="says-it-twice"),
        pytest.param([NAVIGATES, BEARER], "GET", False, id="api-client"),
        pytest.param([HTML, ("Authorization", "bEARER  x")], "GET", False, id="any-spelling"),
        pytest.param([HTML, ("Authorization", "Bearer,x")], "GET", False, id="malformed"),
        pytest.param([HTML, ("Authorization", "Bearerish x")], "GET", True, id="another-scheme"),
        pytest.param([HTML, ("X-Requested-With", "XMLHttpRequest")], "GET", False, id="jquery"),
    ],
)
def test_only_browsers_navigate(fields: list[tuple[str, str]], method: str, expected: bool) -> None:
    """Requests of scripts and programs are not navigations."""
    assert expected == is_navigation(request_head(*fields, method=method))


def test_an_upgrade_is_no_navigation() -> None:
    """Its other fields do not matter."""
    assert not is_navigation(request_head(NAVIGATES, HTML)._replace(upgrade="websocket"))


@pytest.mark.parametrize(
    ("target", "location"),
    [
        pytest.param("/", "/_gateway/login?return_to=/", id="home"),
        pytest.param("/x?a=%26", "/_gateway/login?return_to=/x%3Fa%3D%2526", id="query"),
        pytest.param("/%41", "/_gateway/login?return_to=/A", id="canonical"),
        pytest.param("/" + "a" * 3000, "/_gateway/login?return_to=/", id="too-long-to-come-back"),
    ],
)
@pytest.mark.parametrize("refusal", [Unauthenticated("none"), SessionEnded("expired")])
def test_a_navigation_is_redirected_to_the_login_page(
    target: str, location: str, refusal: Refusal
) -> None:
    """Signing in leads back to the target, with its query."""
    head = request_head(NAVIGATES, target=target)
    instead = PAGE.refusal_or_login(refusal, head, PRIVATE, canonical_target(target))
    assert isinstance(instead, SignInFirst)
    assert location == instead.location
    assert f"{PROBLEM_TYPES[type(refusal)].code}: {refusal.reason}" == instead.reason


@pytest.mark.parametrize(
    ("host", "back"),
    [
        pytest.param(OURS.partition("//")[2], "/x%3Fy", id="our-own"),
        pytest.param("app.example.com:8443", "https%3A//app.example.com%3A8443/x%3Fy", id="listed"),
        pytest.param("app.example.com:444", "/", id="any-other-port"),
        pytest.param("APP.example.com.", "/", id="spelled-otherwise"),
    ],
)
def test_a_check_redirects_from_any_port_of_our_host(host: str, back: str) -> None:
    """The page is at our public URL; the way back is a listed origin or ``/``."""
    page = LoginPage(OURS, "/_gateway", ReturnTo(OURS, "/_gateway", ["app.example.com:8443"]))
    head, target = request_head(NAVIGATES, host=host), canonical_target("/x?y")
    instead = page.refusal_or_login_by_proxy(Unauthenticated(), head, PRIVATE, target)
    assert isinstance(instead, SignInFirst)
    assert f"{OURS}/_gateway/login?return_to={back}" == instead.location


@pytest.mark.parametrize("host", ["wiki.example.com", "evil.example.com", "example.com"])
def test_a_check_for_another_host_is_not_redirected(host: str) -> None:
    """The session cookie stays at our host: a program is told the login page, a person is not."""
    page = LoginPage(OURS, "/_gateway", ReturnTo(OURS, "/_gateway", ["wiki.example.com"]))
    target = canonical_target("/x?y")
    for fields, url in (((), f"{OURS}/_gateway/login"), ((NAVIGATES,), "")):
        head = request_head(*fields, host=host)
        instead = page.refusal_or_login_by_proxy(Unauthenticated(), head, PRIVATE, target)
        assert isinstance(instead, Unauthenticated)
        assert url == instead.login_url


def test_a_public_url_with_an_underscore_host_is_accepted() -> None:
    """The config allows it; requests name other hosts."""
    page = LoginPage("https://_a.example", "/_gateway", ReturnTo("https://_a.example", "/_gateway"))
    head = request_head(NAVIGATES)
    instead = page.refusal_or_login(Unauthenticated(), head, PRIVATE, canonical_target("/x"))
    assert isinstance(instead, SignInFirst)


def test_a_refusal_without_reason_is_logged_by_its_code() -> None:
    """The log names the kind of refusal all the same."""
    target = canonical_target("/")
    instead = PAGE.refusal_or_login(SessionEnded(), request_head(NAVIGATES), PRIVATE, target)
    assert "session_ended" == instead.reason


@pytest.mark.parametrize("kind", [Unauthenticated, SessionEnded, InvalidToken, ExpiredToken])
def test_a_script_gets_the_url_of_the_login_page(kind: type[Refusal]) -> None:
    """It is refused as before, and can open the page itself."""
    refusal = kind("because")
    instead = PAGE.refusal_or_login(refusal, request_head(), PRIVATE, canonical_target("/"))
    assert instead is refusal
    assert f"{OURS}/_gateway/login" == instead.login_url


@pytest.mark.parametrize("fields", [[NAVIGATES], []], ids=["person", "program"])
def test_a_route_without_sessions_is_not_redirected(fields: list[tuple[str, str]]) -> None:
    """Signing in would redirect in a loop."""
    refusal = Unauthenticated("no_credential")
    route = replace(PRIVATE, accept=frozenset({AuthMethod.API_KEY}))
    instead = PAGE.refusal_or_login(refusal, request_head(*fields), route, canonical_target("/"))
    assert instead is refusal
    assert "" == instead.login_url


@pytest.mark.parametrize("kind", [StoreUnavailable, MagicUnavailable, AmbiguousCredentials])
def test_other_refusals_are_not_redirected(kind: type[Refusal]) -> None:
    """An unavailable store is no reason to sign in."""
    refusal = kind("because")
    instead = PAGE.refusal_or_login(
        refusal, request_head(NAVIGATES), PRIVATE, canonical_target("/")
    )
    assert instead is refusal
    assert "" == instead.login_url


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        pytest.param("/_gateway/account", SignInFirst, id="a-page-to-land-on"),
        pytest.param("/_gateway/session", Unauthenticated, id="an-answer-for-programs"),
        pytest.param("/_gateway/login", Unauthenticated, id="never-in-circles"),
    ],
)
def test_only_own_pages_to_return_to_are_redirected(target: str, expected: type[Refusal]) -> None:
    """The others would redirect in a loop."""
    head = request_head(NAVIGATES, target=target)
    instead = PAGE.refusal_or_login(Unauthenticated(), head, INTERNAL, canonical_target(target))
    assert expected is type(instead)


def test_a_check_keeps_a_refusal_that_signing_in_would_not_lift() -> None:
    """Such as 403: the proxy in front is not sent to the login page."""
    refusal = Forbidden(ForbiddenReason.ROLE_MISSING)
    head, target = request_head(NAVIGATES), canonical_target("/x")
    assert refusal is PAGE.refusal_or_login_by_proxy(refusal, head, PRIVATE, target)
    assert refusal is PAGE.refusal_or_login(refusal, head, PRIVATE, target)
    assert not refusal.login_url
