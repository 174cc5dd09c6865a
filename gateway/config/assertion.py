"""``identity.assertion``: what apps can verify."""

from typing import Annotated, Literal

from pydantic import Field, PlainSerializer, SecretStr, WithJsonSchema

from gateway.assertion.token import HEADER, signing_key
from gateway.config.names import header_name
from gateway.config.section import Section
from gateway.config.texts import HIDDEN
from gateway.config.units import duration_s, duration_text, of_text

_SHORTEST_S, _LONGEST_S = 5.0, 3600.0


def assertion_header(text: str) -> str:
    """The name of the field. Raises `ValueError`."""
    return HEADER if text.lower() == HEADER.lower() else header_name(text)


def private_key(text: str) -> SecretStr:
    """A private key in PEM. Raises `ValueError`."""
    signing_key(text)
    return SecretStr(text)


def lifetime_s(text: str) -> float:
    """Seconds; what is said cannot be taken back for so long. Raises `ValueError`."""
    length_s = duration_s(text)
    if not _SHORTEST_S <= length_s <= _LONGEST_S:
        raise ValueError("expected a duration from 5s to 1h")
    return length_s


HeaderText = Annotated[str, of_text(assertion_header), WithJsonSchema({"type": "string"})]
"""The name of a header that the gateway writes."""

PrivateKey = Annotated[
    SecretStr, of_text(private_key), HIDDEN, WithJsonSchema({"type": "string", "minLength": 8})
]
"""A private key in PEM."""


AssertionLifetime = Annotated[
    float,
    of_text(lifetime_s),
    PlainSerializer(duration_text),
    WithJsonSchema({"type": "string", "examples": ["60s"]}),
]
"""How long an assertion is good, in seconds."""


class AssertionSettings(Section):
    """A signed JWT that tells the app whose request it is."""

    header: HeaderText = HEADER
    """The field that carries it."""
    lifetime_s: AssertionLifetime = Field(60.0, alias="lifetime")
    """How long one is good, 5s to 1h."""
    bind: Literal["identity", "request"] = "identity"
    """To the caller alone, and used again; or to method, host, path and query of each request."""
    keys: tuple[PrivateKey, ...] = ()
    """Private keys in PEM; the first signs, all are published. Required in live mode."""
