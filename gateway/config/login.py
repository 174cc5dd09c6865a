"""Section ``login``: the login page, its looks, its texts and its sign-in methods."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from gateway.config.addresses import origin
from gateway.config.colours import Colour
from gateway.config.page_texts import TEXTS
from gateway.config.section import SOME, Section
from gateway.config.texts import OptionalText, text
from gateway.config.units import Duration, Flag, of_text

_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}", re.ASCII)

LoginMethod = Literal["email-otp", "magic-link", "sms"]

BuiltInLanguage = Literal["en", "de", "fr", "es", "ja"]
BUILT_IN_LANGUAGES: tuple[BuiltInLanguage, ...] = ("en", "de", "fr", "es", "ja")
"""Languages whose texts come along."""


def return_host(text: str) -> str:
    """
    Parse a host with an optional port into the form of browsers; port 443 is left out.

    Raises `ValueError`.
    """
    try:
        return origin(f"https://{text}").removeprefix("https://")
    except ValueError:
        raise ValueError("expected a host such as shop.example.com, or host:port") from None


def language(written: str) -> str:
    """Check a language tag such as ``en`` or ``pt-BR`` (RFC 5646). Raises `ValueError`."""
    if not _LANGUAGE.fullmatch(written):
        raise ValueError("expected a language tag such as en or pt-BR")
    return written


def _known_text(key: str) -> str:
    if key not in TEXTS:
        raise ValueError(f"expected one of {', '.join(TEXTS)}")
    return key


def _each_once(methods: tuple[LoginMethod, ...]) -> tuple[LoginMethod, ...]:
    if len(set(methods)) < len(methods):
        raise ValueError("expected each method once")
    return methods


Language = Annotated[
    str, of_text(language), WithJsonSchema({"type": "string", "pattern": f"^{_LANGUAGE.pattern}$"})
]
"""A language tag."""

TextKey = Annotated[str, AfterValidator(_known_text)]
"""The key of a text of the pages."""

Words = Annotated[str, of_text(text), WithJsonSchema({"type": "string"})]
"""Plain text on one line."""

ReturnHost = Annotated[
    str,
    of_text(return_host),
    WithJsonSchema({"type": "string", "examples": ["shop.example.com"]}),
]
"""A host to which users may be redirected after signing in."""


class LoginSettings(Section):
    """Login page: its looks, its texts and its sign-in methods."""

    enabled: Flag = True
    """
    Whether browsers that navigate without a session are redirected to the login page. Needs
    `magic.publishable_key`, except in development mode.
    """
    return_to_hosts: tuple[ReturnHost, ...] = ()
    """
    Hosts beside that of public_url to which `return_to` may redirect after signing in. Others are
    refused (open redirect).
    """
    name: OptionalText = ""
    """Name of the site in the texts. The host of public_url when empty."""
    logo: OptionalText = ""
    """File with the logo: SVG, PNG, WebP or JPEG, up to 256 KiB. None when empty."""
    lang: Language = "en"
    """
    Language of the site, for visitors who ask for none of `languages`. Screen readers and Magic's
    emails are told. The texts are in English where this one does not come along.
    """
    languages: tuple[BuiltInLanguage, ...] | None = None
    """
    Languages that the pages offer beside `lang`, by `Accept-Language` and a switch. All that come
    along when absent: en, de, fr, es, ja; [] for `lang` alone.
    """
    methods: Annotated[tuple[LoginMethod, ...], SOME, AfterValidator(_each_once)] = (
        "email-otp",
        "magic-link",
    )
    """
    Sign-in methods: email-otp (a one-time code), magic-link, sms. The first one is shown most
    prominently.
    """
    lifespan_s: Duration = Field(8 * 3600.0, alias="lifespan")
    """
    Lifetime of the DID token that the page requests, and so of the session. `session.lifetime` and
    `identity.max_token_lifetime` cap it.
    """
    accent: Colour = "#1d4ed8"
    """Colour of buttons. Their text is black or white, for the higher contrast."""
    accent_dark: Colour = "#93c5fd"
    """Colour of buttons in the dark scheme."""
    texts: Mapping[TextKey, Words] = {}
    """Replacements for texts of the gateway's pages, by key, in the language `lang`."""
