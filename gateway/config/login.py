"""The login pages: who is led there, how they look, what they offer."""

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


def return_host(text: str) -> str:
    """A host, with its port if it is not the scheme's own, as browsers write it."""
    try:
        return origin(f"https://{text}").removeprefix("https://")
    except ValueError:
        raise ValueError("expected a host such as shop.example.com, or host:port") from None


def language(written: str) -> str:
    """A language tag such as ``en`` or ``pt-BR`` (RFC 5646). Raises `ValueError`."""
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
"""Which text is meant."""

Words = Annotated[str, of_text(text), WithJsonSchema({"type": "string"})]
"""Plain text on one line."""

ReturnHost = Annotated[
    str,
    of_text(return_host),
    WithJsonSchema({"type": "string", "examples": ["shop.example.com"]}),
]
"""Where people may be led after signing in."""


class LoginSettings(Section):
    """Where people sign in, and how that looks."""

    enabled: Flag = True
    """Whether people who navigate are sent to the login page; it needs magic.publishable_key."""
    return_to_hosts: tuple[ReturnHost, ...] = ()
    """Hosts beside that of public_url to which `return_to` may lead."""
    name: OptionalText = ""
    """What one signs in to; the host of public_url when empty."""
    logo: OptionalText = ""
    """A file that is shown above it: SVG, PNG, WebP or JPEG, up to 256 KiB; none when empty."""
    lang: Language = "en"
    """The language of the texts, for screen readers and for Magic's emails."""
    methods: Annotated[tuple[LoginMethod, ...], SOME, AfterValidator(_each_once)] = (
        "email-otp",
        "magic-link",
    )
    """What is offered, the first most visibly: email-otp (a code), magic-link, sms."""
    lifespan_s: Duration = Field(8 * 3600.0, alias="lifespan")
    """How long a DID token is asked for; session.lifetime and max_token_lifetime cap it."""
    accent: Colour = "#1d4ed8"
    """The colour of buttons; their text is black or white, whichever can be read."""
    accent_dark: Colour = "#93c5fd"
    """The same where people prefer dark."""
    texts: Mapping[TextKey, Words] = {}
    """Other words for what the pages say, by key."""
