"""Section ``login``, and the login page that is compiled from it."""

from collections.abc import Callable

import pytest

from gateway.config.compile import login_page, return_to
from gateway.config.schema import Settings

Read = Callable[..., Settings]
Complain = Callable[..., list[str]]

LIVE = "magic: {secret_key: sk_live_1234567890, publishable_key: pk_live_1}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(LIVE, True, id="live"),
        pytest.param(LIVE + "login: {enabled: false}", False, id="switched-off"),
        pytest.param("magic: {secret_key: sk_live_1234567890}", False, id="no-publishable-key"),
        pytest.param(
            "server: {public_url: 'http://localhost:8080'}\nmagic: {mode: development}",
            True,
            id="development",
        ),
    ],
)
def test_a_login_page_that_can_work(read: Read, text: str, expected: bool) -> None:
    """Browsers are redirected to the login page only if it is enabled and has its key."""
    assert expected == (login_page(read(text)) is not None)


@pytest.mark.parametrize(
    ("written", "place", "expected"),
    [
        pytest.param("Shop.Example.com", "https://shop.example.com/x", True, id="lower-case"),
        pytest.param("'a.example:8443'", "https://a.example:8443/x", True, id="a-port"),
        pytest.param("'a.example:443'", "https://a.example/x", True, id="the-usual-port"),
        pytest.param("a.example", "https://b.example/x", False, id="another"),
        pytest.param("a.example", "http://a.example/x", False, id="another-scheme"),
    ],
)
def test_listed_hosts(read: Read, written: str, place: str, expected: bool) -> None:
    """Hosts are compared in the form of browsers, with https and the exact port."""
    settings = read(f"login: {{return_to_hosts: [{written}]}}")
    assert expected == (return_to(settings).checked(place) == place)


@pytest.mark.parametrize(
    "written", ["'*.example.com'", "'https://a.example'", "a.example/x", "a@b", "'a:b'", "''"]
)
def test_invalid_hosts(complaints: Complain, written: str) -> None:
    """A pattern, a URL or a path would never match, so it is refused."""
    (problem,) = complaints(f"login: {{return_to_hosts: [{written}]}}")
    assert "expected a host such as shop.example.com" in problem


def test_looks_and_texts(read: Read) -> None:
    """Name, language, methods, colours and texts can be replaced."""
    login = read(
        "login: {name: Acme, lang: pt-BR, methods: [sms], accent: '#ABCDEF', texts: {title: Olá}}"
    ).login
    assert ("Acme", "pt-BR", ("sms",), "#abcdef") == (
        login.name,
        login.lang,
        login.methods,
        login.accent,
    )
    assert {"title": "Olá"} == login.texts


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param("accent: blue", "expected a colour", id="a-name-of-a-colour"),
        pytest.param("lang: 'en\"'", "expected a language tag", id="no-language"),
        pytest.param("methods: []", "at least one", id="no-method"),
        pytest.param("methods: [sms, sms]", "each method once", id="a-method-twice"),
        pytest.param("texts: {titel: x}", "expected one of title", id="a-text-that-is-not-there"),
    ],
)
def test_invalid_looks_and_texts(complaints: Complain, text: str, complaint: str) -> None:
    """A typing error is reported at start, instead of showing on the page."""
    found = complaints(f"login: {{{text}}}")
    assert 1 == len(found)
    assert complaint in found[0]
