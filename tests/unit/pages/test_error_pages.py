"""Pages of refusals: what people see where programs get a problem document."""

import json
import re
from html import escape
from pathlib import Path

import orjson
import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from gateway.core.errors import (
    PROBLEM_TYPES,
    Forbidden,
    NoRoute,
    RateLimited,
    Refusal,
    SignInByProxy,
    SignInFirst,
    StartError,
    StoreUnavailable,
    Unauthenticated,
)
from gateway.core.limit import Limit, LimitState
from gateway.core.problem import ProblemAnswer, problem, problem_of
from gateway.core.reasons import ForbiddenReason
from gateway.pages.error_pages import NAMES, ErrorPages
from gateway.pages.languages import texts
from gateway.pages.look import Look
from tests.fakes.heads import request_head
from tests.unit.pages.test_branding import settings

SECRET = "what-only-the-operator-may-know"
NAVIGATION = {"Sec-Fetch-Mode": "navigate"}
PAGES = [kind for kind in PROBLEM_TYPES if not issubclass(kind, SignInFirst)]
"""All but the redirects."""


def headers(**fields: str) -> CIMultiDictProxy[str]:
    """Header fields; underscores stand for hyphens."""
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    return CIMultiDictProxy(CIMultiDict({**NAVIGATION, **named}))


def refused(kind: type[Refusal]) -> Refusal:
    """Make a refusal with a reason that is secret, where it takes one."""
    if kind is RateLimited:
        return RateLimited(LimitState(Limit("api", 50, 10), False, 0, 12.5, 3.2))
    if kind is Forbidden:
        return Forbidden(ForbiddenReason.ROLE_MISSING)
    return kind(SECRET)


def error_pages(more: str = "login: {name: Acme}") -> ErrorPages:
    """Pages of a config with ``more``."""
    return ErrorPages(Look(settings(more)))


def answered(refusal: Refusal, pages: ErrorPages | None = None, **fields: str) -> ProblemAnswer:
    """Answer a navigation."""
    return (pages or error_pages()).page(headers(**fields), refusal, problem_of(refusal))


def text(answer: ProblemAnswer) -> str:
    """The page, with the id of a request."""
    return (answer.before_id + b"0a1b2c" + answer.after_id).decode()


PLAIN = error_pages()


@pytest.mark.parametrize("kind", PAGES)
def test_a_navigation_gets_a_page(kind: type[Refusal]) -> None:
    """With what happened and the id, and no word that is for the operator or an attacker."""
    refusal = refused(kind)
    answer = answered(refusal, PLAIN)
    fields, page = dict(answer.fields), text(answer)
    assert "text/html; charset=utf-8" == fields["Content-Type"]
    assert "no-store" == fields["Cache-Control"]
    assert {"Accept", "Accept-Language"} <= set(fields["Vary"].split(", "))
    policy = fields["Content-Security-Policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self'; " in policy
    assert policy.endswith("frame-ancestors 'none'")
    assert "DENY" == fields["X-Frame-Options"]
    assert "unsafe" not in policy
    assert re.findall("<script[^>]*>", page) == re.findall(
        '<script type="module" src="/[^"]*">', page
    )
    assert not re.search(r"\s(on\w+|style)=", page)
    assert "Set-Cookie" not in {name for name, _ in answer.fields + answer.own_fields}
    assert page.startswith("<!doctype html>")
    assert 1 == page.count("0a1b2c")
    assert "\ue000" not in page
    for hidden in (SECRET, answer.code, "Traceback", "api", "limit"):
        assert hidden not in page


@pytest.mark.parametrize("language", ["en", "de", "fr", "es", "ja"])
@pytest.mark.parametrize("kind", PAGES)
def test_each_refusal_has_its_page_in_each_language(kind: type[Refusal], language: str) -> None:
    """Its title and help are those of its status, in the language; programs read its code."""
    refusal = refused(kind)
    page = text(answered(refusal, PLAIN, Accept_Language=language))
    key = f"error_{NAMES.get(PROBLEM_TYPES[kind].status, 'other')}"
    for name in (key, f"{key}_help"):
        said = texts(language)[name]
        assert escape(said) in page.replace("&#39;", "&#x27;")
        assert language == "en" or said != texts("en")[name]
    assert f'<html lang="{language}" dir="ltr"' in page
    program, reply = problem(refusal, "0a1b2c")
    assert (PROBLEM_TYPES[kind].code, program) == (program, orjson.loads(reply.body)["code"])
    assert PROBLEM_TYPES[kind].status == reply.status
    assert ("Content-Type", "application/problem+json") in reply.fields


def test_the_statuses_that_people_know_have_texts_of_their_own() -> None:
    """Those that a gateway answers browsers with; one more is a proxy's."""
    own = {400, 401, 403, 404, 408, 413, 421, 429, 431, 500, 502, 503, 504}
    assert own == set(NAMES)
    assert own - {421} <= {PROBLEM_TYPES[kind].status for kind in PAGES}


@pytest.mark.parametrize("kind", PAGES)
def test_a_program_gets_a_problem_document(kind: type[Refusal]) -> None:
    """Nothing of its answer has changed but ``Vary``."""
    refusal = refused(kind)
    answer = problem_of(refusal)
    for fields in ({"Accept": "*/*"}, {"Accept": "application/json"}, {"Sec-Fetch-Mode": "cors"}):
        sent = CIMultiDictProxy(CIMultiDict(fields))
        assert answer is PLAIN.page(sent, refusal, answer)
    assert {"Accept", "Accept-Language"} <= set(dict(answer.fields)["Vary"].split(", "))


def test_a_redirect_stays_one() -> None:
    """Signing in comes before any page, and a proxy may be told of it by a 401."""
    for kind in (SignInFirst, SignInByProxy):
        refusal = kind(location="/_gateway/login")
        answer = problem_of(refusal)
        assert answer is PLAIN.page(headers(), refusal, answer)


@pytest.mark.parametrize(("upgrade", "is_page"), [("WebSocket", False), ("h2c", True), ("", True)])
def test_an_upgrade_gets_a_problem_document(upgrade: str, is_page: bool) -> None:
    """No person sees the answer to a handshake; other upgrades are ignored."""
    refusal = NoRoute()
    answer = problem_of(refusal)
    head = request_head(("Sec-Fetch-Mode", "navigate"), ("Upgrade", upgrade))
    assert is_page == (answer is not PLAIN.of_request(head, refusal, answer))


@pytest.mark.parametrize(
    ("refusal", "seconds"),
    [
        pytest.param(refused(RateLimited), "4", id="a-limit"),
        pytest.param(StoreUnavailable(retry_after_s=2.5), "3", id="a-store"),
    ],
)
def test_a_wait_is_counted_down(refusal: Refusal, seconds: str) -> None:
    """By as many seconds as ``Retry-After`` says; the field is sent to browsers, too."""
    answer = answered(refusal)
    assert seconds == dict(answer.fields + answer.own_fields)["Retry-After"]
    assert f'data-seconds="{seconds}"' in text(answer)
    assert f"You can try again in {seconds} s." in text(answer)
    assert 'id="retry"' in text(answer)
    assert "data-seconds" not in text(answered(NoRoute()))


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        pytest.param(59, "59 s", id="seconds"),
        pytest.param(61, "2 min", id="minutes"),
        pytest.param(36_865, "10 h 15 min", id="hours"),
        pytest.param(7_200, "2 h", id="whole-hours"),
    ],
)
def test_a_wait_without_scripts(seconds: int, said: str) -> None:
    """In symbols of time that all languages share."""
    answer = answered(StoreUnavailable(retry_after_s=seconds))
    assert f"You can try again in {said}." in text(answer)
    assert f'data-seconds="{seconds}"' in text(answer)


def test_a_person_with_a_session_can_switch() -> None:
    """Their name is text, whatever it holds; a page with a name is not kept for others."""
    refusal = Forbidden(ForbiddenReason.ROLE_MISSING)
    refusal.signed_in_as = "<b>ada\ue000\ue001@example.com"
    page = text(answered(refusal, PLAIN))
    assert "You are signed in as &lt;b&gt;ada\ue001@example.com." in page
    assert 'action="/_gateway/logout?switch=true"' in page
    assert 'action="/_gateway/logout"' in page
    assert page.index("ada") < page.index("0a1b2c")
    other = text(answered(Forbidden(ForbiddenReason.ROLE_MISSING), PLAIN))
    assert "signed in as" not in other
    assert "logout" not in other


def test_texts_of_an_operator_are_text() -> None:
    """Markup in them is shown, and does nothing; so is markup in the name of the site."""
    markup = "<img src=x onerror=alert(1)>&amp;\"'"
    more = {"error_not_found": markup, "home": markup, "request_id": markup}
    own = {"name": markup, "texts": more, "languages": []}
    page = text(answered(NoRoute(), error_pages(f"login: {json.dumps(own)}")))
    assert 4 <= page.count("&lt;img src=x onerror=alert(1)&gt;&amp;amp;&#34;&#39;")
    assert "<img src=x" not in page
    assert "onerror=alert(1)>" not in page


def test_a_person_without_one_can_sign_in() -> None:
    """Where the refusal names the login page."""
    refusal = Unauthenticated()
    assert 'href="/_gateway/login"' not in text(answered(refusal))
    refusal.login_url = "https://app.example.com/_gateway/login"
    assert 'href="/_gateway/login"' in text(answered(refusal))


@pytest.mark.parametrize(
    ("accepted", "language", "title"),
    [
        ("de-AT,de;q=0.9,en;q=0.5", "de", "Unter dieser Adresse gibt es keine Seite."),
        ("fr", "fr", "Il n’y a pas de page à cette adresse."),
        ("es-MX", "es", "No hay ninguna página en esta dirección."),
        ("ja", "ja", "このアドレスにページはありません。"),
        ("pl", "en", "There is no page at this address."),
    ],
)
def test_languages(accepted: str, language: str, title: str) -> None:
    """The page is in the language of its reader, and says so."""
    answer = answered(NoRoute(), PLAIN, Accept_Language=accepted)
    assert language == dict(answer.fields)["Content-Language"]
    assert f"<h1>{title}</h1>" in text(answer)
    assert f'lang="{language}" hreflang="{language}" aria-current="true"' in text(answer)


def test_answers_are_made_once() -> None:
    """A flood of refusals costs a look-up each; those of callers by name are not kept."""
    assert answered(NoRoute(), PLAIN) is answered(NoRoute(), PLAIN)
    for second in range(2000):
        state = LimitState(Limit("api", 50, 10), False, 0, second, second)
        answered(RateLimited(state), PLAIN)
    assert 512 == len(PLAIN._answers)


@pytest.mark.parametrize("characters", [100, 60_000])
def test_what_is_kept_is_bounded(tmp_path: Path, characters: int) -> None:
    """However large the templates are, and however many times to wait there are."""
    (tmp_path / "error.html").write_text("x" * characters + "{{ request_id }}{{ retry_after_s }}")
    pages = error_pages(f"pages: {{templates: {tmp_path}}}")
    for second in range(600):
        refusal = StoreUnavailable()
        refusal.retry_after_s = float(second + 1)
        assert f"{second + 1}" in text(answered(refusal, pages))
    kept = len(pages._answers)
    assert 32 <= kept <= 512
    assert kept * characters <= 4 << 20


def test_templates_of_an_operator(tmp_path: Path) -> None:
    """The one for a status goes first; what varies is put in safely."""
    (tmp_path / "error.html").write_text("<p>{{ title }} {{ request_id }} {{ signed_in_as }}</p>")
    (tmp_path / "404.html").write_text("<p>lost {{ request_id }}</p>")
    pages = error_pages(f"pages: {{templates: {tmp_path}}}")
    assert "<p>lost 0a1b2c</p>" == text(answered(NoRoute(), pages))
    refusal = Forbidden(ForbiddenReason.ROLE_MISSING)
    refusal.signed_in_as = "a<b"
    assert "<p>You may not see this page. 0a1b2c a&lt;b</p>" == text(answered(refusal, pages))


@pytest.mark.parametrize(
    ("name", "template", "expected"),
    [
        pytest.param("error.html", "{% if %}", "error.html:1: Expected", id="syntax"),
        pytest.param("error.html", "{{ unknown }}{{ request_id }}", "unknown", id="a-name"),
        pytest.param("404.html", "no id", "shows {{ request_id }} once", id="no-id"),
        pytest.param("503.html", "{{ 1 / 0 }}", "ZeroDivisionError", id="a-fault"),
        pytest.param("eror.html", "", "expected one of 400.html", id="a-name-of-no-page"),
        pytest.param(
            "error.html",
            "{{ request_id }}{{ ''.__class__.__mro__ }}",
            "SecurityError",
            id="what-reaches-out-of-the-sandbox",
        ),
        pytest.param("error.html", "{{ request_id }}{{ 'x' * 70000 }}", "64 KiB", id="too-long"),
    ],
)
def test_faulty_templates(tmp_path: Path, name: str, template: str, expected: str) -> None:
    """They stop the start, not a request."""
    (tmp_path / name).write_text(template)
    with pytest.raises(StartError) as raised:
        error_pages(f"pages: {{templates: {tmp_path}}}")
    assert expected in str(raised.value)
