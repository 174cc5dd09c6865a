"""Languages of the pages: their texts, and the choice by cookie and ``Accept-Language``."""

import re
import tomllib
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib.resources import files

from multidict import CIMultiDictProxy, istr

from gateway.config.login import BUILT_IN_LANGUAGES
from gateway.config.page_texts import TEXTS
from gateway.config.schema import Settings
from gateway.util.weighted import by_weight

COOKIE = "gateway-lang"
"""Holds the language that a person has chosen on a page."""
_NAMES = {"en": "English", "de": "Deutsch", "fr": "Français", "es": "Español", "ja": "日本語"}
"""Names of the built-in languages, each in itself."""

_CHOICE = re.compile(rf"(?:^|;)[ \t]*{COOKIE}=([A-Za-z0-9-]*)")
"""The first cookie alone: a flood of them must cost little."""

_ACCEPT_LANGUAGE, _COOKIE = istr("Accept-Language"), istr("Cookie")
_LONGEST = 256
"""Characters of ``Accept-Language`` that are read: browsers send fewer than a hundred."""
_RIGHT_TO_LEFT = frozenset({"ar", "dv", "fa", "he", "ku", "ps", "sd", "ug", "ur", "yi"})


def offered(settings: Settings) -> tuple[str, ...]:
    """List the languages of one config: its own first, then those that come along."""
    own, listed = settings.login.lang, settings.login.languages
    more = BUILT_IN_LANGUAGES if listed is None else listed
    return (own, *(language for language in more if language != primary(own)))


def primary(language: str) -> str:
    """Return the primary subtag of a language tag, in lower case (RFC 5646 section 2.2.1)."""
    return language.partition("-")[0].lower()


def direction(language: str) -> str:
    """Return the value of ``dir`` for ``language``."""
    return "rtl" if primary(language) in _RIGHT_TO_LEFT else "ltr"


def name_of(language: str) -> str:
    """Return the name of ``language`` in itself; the tag where it does not come along."""
    return _NAMES.get(primary(language), language)


def texts(language: str) -> Mapping[str, str]:
    """Return the texts that come along for ``language``; those in English where there are none."""
    return _built_in(primary(language))


@cache
def _built_in(language: str) -> Mapping[str, str]:
    if language == "en" or language not in BUILT_IN_LANGUAGES:
        return TEXTS
    file = files("gateway.pages").joinpath("translations", f"{language}.toml")
    return {**TEXTS, **tomllib.loads(file.read_text("utf-8"))}


def choose(headers: CIMultiDictProxy[str], languages: tuple[str, ...]) -> str:
    """Choose one of ``languages``: by the cookie, else as the browser asks, else the first."""
    sent = headers.get(_COOKIE, "")
    if COOKIE in sent and (found := _CHOICE.search(sent)) and found[1] in languages:
        return found[1]
    return negotiate(headers.get(_ACCEPT_LANGUAGE, "")[:_LONGEST], languages)


@lru_cache(512)
def negotiate(accepted: str, languages: tuple[str, ...]) -> str:
    """
    Choose by ``Accept-Language`` (RFC 9110 section 12.5.4); the first of ``languages`` by default.

    A range matches all tags with its primary subtag: ``de-AT`` gets ``de``.
    """
    by_primary = {primary(language): language for language in reversed(languages)}
    for tag in by_weight(accepted):
        if tag == "*":
            break
        if (subtag := primary(tag)) in by_primary:
            return by_primary[subtag]
    return languages[0]
