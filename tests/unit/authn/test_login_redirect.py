"""Who is sent to the login page."""

from dataclasses import replace

import pytest

from gateway.authn.login_redirect import LoginPage, is_navigation
from gateway.authn.return_to import ReturnTo
from gateway.core.errors import (
    PROBLEM_TYPES,
    AmbiguousCredentials,
    ExpiredToken,
    InvalidToken,
    MagicUnavailable,
    Refusal,
    SessionEnded,
    SignInFirst,
    StoreUnavailable,
    Unauthenticated,
)
from gateway.core.identity import AuthMethod
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
        pytest.param([HTML, ("X-Requested-With", "XMLHttpRequest")], "GET", False, id="jquery"),
    ],
)
def test_who_navigates(fields: list[tuple[str, str]], method: str, expected: bool) -> None:
    """A person in front of a browser; nothing that a program does."""
    assert expected == is_navigation(request_head(*fields, method=method))


def test_an_upgrade_is_no_navigation() -> None:
    """Whatever else it says."""
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
def test_a_person_is_led_to_the_login_page(target: str, location: str, refusal: Refusal) -> None:
    """And back to where they were going, the query included."""
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
def test_a_proxy_leads_there_from_its_own_port(host: str, back: str) -> None:
    """The page is at our public URL; the way back is to a port that is listed, or home."""
    page = LoginPage(OURS, "/_gateway", ReturnTo(OURS, "/_gateway", ["app.example.com:8443"]))
    head, target = request_head(NAVIGATES, host=host), canonical_target("/x?y")
    instead = page.refusal_or_login_by_proxy(Unauthenticated(), head, PRIVATE, target)
    assert isinstance(instead, SignInFirst)
    assert f"{OURS}/_gateway/login?return_to={back}" == instead.location


@pytest.mark.parametrize("host", ["wiki.example.com", "evil.example.com", "example.com"])
def test_a_proxy_leads_nobody_there_from_another_host(host: str) -> None:
    """The cookie stays at ours: who has signed in would come back as nobody, and be led there."""
    page = LoginPage(OURS, "/_gateway", ReturnTo(OURS, "/_gateway", ["wiki.example.com"]))
    head, target = request_head(NAVIGATES, host=host), canonical_target("/x?y")
    instead = page.refusal_or_login_by_proxy(Unauthenticated(), head, PRIVATE, target)
    assert isinstance(instead, Unauthenticated)
    assert f"{OURS}/_gateway/login" == instead.login_url


def test_a_public_url_that_no_request_can_name_keeps_nothing_from_starting() -> None:
    """The config takes a host that begins with an underscore; people come to others, directly."""
    page = LoginPage("https://_a.example", "/_gateway", ReturnTo("https://_a.example", "/_gateway"))
    head = request_head(NAVIGATES)
    instead = page.refusal_or_login(Unauthenticated(), head, PRIVATE, canonical_target("/x"))
    assert isinstance(instead, SignInFirst)


def test_no_reason_is_no_reason() -> None:
    """The log names the kind of refusal all the same."""
    target = canonical_target("/")
    instead = PAGE.refusal_or_login(SessionEnded(), request_head(NAVIGATES), PRIVATE, target)
    assert "session_ended" == instead.reason


@pytest.mark.parametrize("kind", [Unauthenticated, SessionEnded, InvalidToken, ExpiredToken])
def test_a_program_is_told_where_the_login_page_is(kind: type[Refusal]) -> None:
    """It is refused as it was, and can open the page itself."""
    refusal = kind("because")
    instead = PAGE.refusal_or_login(refusal, request_head(), PRIVATE, canonical_target("/"))
    assert instead is refusal
    assert f"{OURS}/_gateway/login" == instead.login_url


@pytest.mark.parametrize("fields", [[NAVIGATES], []], ids=["person", "program"])
def test_a_session_is_no_way_into_a_route_for_programs(fields: list[tuple[str, str]]) -> None:
    """Whoever is signed in would be led back at once, and to the login page again."""
    refusal = Unauthenticated("no_credential")
    route = replace(PRIVATE, accept=frozenset({AuthMethod.API_KEY}))
    instead = PAGE.refusal_or_login(refusal, request_head(*fields), route, canonical_target("/"))
    assert instead is refusal
    assert "" == instead.login_url


@pytest.mark.parametrize("kind", [StoreUnavailable, MagicUnavailable, AmbiguousCredentials])
def test_signing_in_helps_against_nothing_else(kind: type[Refusal]) -> None:
    """Nobody is sent away to sign in because Redis blinked."""
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
def test_our_own_pages(target: str, expected: type[Refusal]) -> None:
    """Of the gateway's own pages only those to land on lead to the login page."""
    head = request_head(NAVIGATES, target=target)
    instead = PAGE.refusal_or_login(Unauthenticated(), head, INTERNAL, canonical_target(target))
    assert expected is type(instead)
