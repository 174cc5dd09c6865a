"""Languages of the pages: which texts there are, and who gets which."""

import re

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from gateway.config.login import BUILT_IN_LANGUAGES
from gateway.config.page_texts import TEXTS
from gateway.pages import languages
from tests.unit.pages.test_branding import settings

ALL = ("en", "de", "fr", "es", "ja")


@pytest.mark.parametrize("language", BUILT_IN_LANGUAGES)
@pytest.mark.parametrize("key", TEXTS)
def test_translations_are_complete(language: str, key: str) -> None:
    """Each key has a text with the same braces; it is plain, as in English."""
    text = languages.texts(language)[key]
    assert sorted(re.findall(r"\{\w+\}", TEXTS[key])) == sorted(re.findall(r"\{\w+\}", text))
    assert text == text.strip() != ""
    assert not set("<>&\n") & set(text)
    assert set(TEXTS) == set(languages.texts(language))


@pytest.mark.parametrize("language", BUILT_IN_LANGUAGES[1:])
def test_translations_are_of_their_language(language: str) -> None:
    """Hardly a text is the English one."""
    words = languages.texts(language)
    assert {key for key in TEXTS if words[key] == TEXTS[key]} <= {"address", "code"}


FAMILIAR = {
    "de": r"(?i)\b(du|dich|dir|dein\w*)\b|^(Öffne|Warte|Versuche|Geh|Prüfe|Melde) ",
    "fr": r"(?i)\b(tu|te|toi|ton|ta|tes)\b",
    "es": r"(?i)\b(tú|te|tus?|ti|has|empieza|inténtalo|necesitas|puedes)\b",
}
"""Words of the form of address for friends."""


@pytest.mark.parametrize("key", TEXTS)
@pytest.mark.parametrize("language", FAMILIAR)
def test_visitors_are_addressed_formally(language: str, key: str) -> None:
    """As strangers are, in each language that knows the difference: a site may be a bank's."""
    assert not re.search(FAMILIAR[language], languages.texts(language)[key])


@pytest.mark.parametrize("key", TEXTS)
def test_french_punctuation_begins_no_line(key: str) -> None:
    """The space before a colon, a semicolon and a question mark does not break."""
    assert not re.search(r" [?!:;]", languages.texts("fr")[key])


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        pytest.param("", "en", id="nothing"),
        pytest.param("de", "de", id="one"),
        pytest.param("DE-at", "de", id="a-region"),
        pytest.param("pl, fr;q=0.4, es;q=0.8", "es", id="by-weight"),
        pytest.param("de;q=0, fr;q=0.1", "fr", id="none-of-weight-0"),
        pytest.param("pl, *, de", "en", id="any"),
        pytest.param("de;q=x,fr;q=2,ja;q=nan", "en", id="weights-that-are-none"),
        pytest.param("de;level=1", "de", id="another-parameter"),
        pytest.param(",;,q=", "en", id="garbage"),
    ],
)
def test_negotiation(accepted: str, expected: str) -> None:
    """RFC 9110 section 12.5.4."""
    assert expected == languages.negotiate(accepted, ALL)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({"Accept-Language": "de"}, "de", id="as-the-browser-asks"),
        pytest.param({"Accept-Language": "de", "Cookie": "gateway-lang=ja"}, "ja", id="as-chosen"),
        pytest.param({"Accept-Language": "de", "Cookie": "gateway-lang=xx"}, "de", id="no-choice"),
        pytest.param({"Cookie": "not-gateway-lang=ja"}, "en", id="another-cookie"),
        pytest.param({"Accept-Language": "pl," * 15 + "de"}, "de", id="the-last-that-is-read"),
        pytest.param({"Accept-Language": "pl," * 16 + "de"}, "en", id="a-long-list"),
        pytest.param(
            {"Cookie": "a=b;gateway-lang=ja ; gateway-lang=de"}, "ja", id="the-first-cookie"
        ),
        pytest.param({"Cookie": "gateway-lang=xx; gateway-lang=de"}, "en", id="no-other-cookie"),
    ],
)
def test_choice(fields: dict[str, str], expected: str) -> None:
    """The cookie of the switch goes first."""
    assert expected == languages.choose(CIMultiDictProxy(CIMultiDict(fields)), ALL)


@pytest.mark.parametrize(
    ("login", "expected"),
    [
        pytest.param("{}", ALL, id="all"),
        pytest.param("{lang: fr}", ("fr", "en", "de", "es", "ja"), id="the-site-first"),
        pytest.param("{lang: de-AT}", ("de-AT", "en", "fr", "es", "ja"), id="a-region"),
        pytest.param("{lang: nl, languages: []}", ("nl",), id="one-of-its-own"),
        pytest.param("{languages: [de]}", ("en", "de"), id="some"),
    ],
)
def test_offered(login: str, expected: tuple[str, ...]) -> None:
    """The language of the site is always there, once."""
    assert expected == languages.offered(settings(f"login: {login}"))


@pytest.mark.parametrize(
    ("language", "direction", "name"),
    [("en", "ltr", "English"), ("ar-EG", "rtl", "ar-EG"), ("he", "rtl", "he")],
)
def test_writing(language: str, direction: str, name: str) -> None:
    """Languages that run to the left are laid out so."""
    assert direction == languages.direction(language)
    assert name == languages.name_of(language)
    assert languages.texts("ar") is TEXTS
