"""Section ``identity.assertion``: the signed JWT by which apps verify an identity."""

from typing import Annotated, Literal

from pydantic import Field, PlainSerializer, SecretStr, WithJsonSchema

from gateway.assertion.token import HEADER, signing_key
from gateway.config.names import header_name
from gateway.config.section import Section
from gateway.config.texts import HIDDEN
from gateway.config.units import duration_s, duration_text, of_text

_SHORTEST_S, _LONGEST_S = 5.0, 3600.0


def assertion_header(text: str) -> str:
    """Parse the name of the field; the default keeps its spelling. Raises `ValueError`."""
    return HEADER if text.lower() == HEADER.lower() else header_name(text)


def private_key(text: str) -> SecretStr:
    """Check that ``text`` is a private key in PEM, and hide it. Raises `ValueError`."""
    signing_key(text)
    return SecretStr(text)


def lifetime_s(text: str) -> float:
    """
    Parse a lifetime from 5s to 1h, in seconds.

    It is bounded because an assertion cannot be revoked before it expires. Raises `ValueError`.
    """
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
"""The lifetime of an assertion, in seconds."""


class AssertionSettings(Section):
    """Signed JWT that proves the caller's identity to the app."""

    header: HeaderText = HEADER
    """Header field that carries the assertion."""
    lifetime_s: AssertionLifetime = Field(60.0, alias="lifetime")
    """Lifetime of an assertion, from 5s to 1h. It cannot be revoked before it expires."""
    bind: Literal["identity", "request"] = "identity"
    """
    identity: one assertion is signed per caller and reused. request: each request gets its own,
    bound to method, host, path and query, which costs a signature per request.
    """
    keys: tuple[PrivateKey, ...] = ()
    """
    Private keys in PEM, such as `gateway keys generate` prints. The first one signs; all are
    published at {prefix}/jwks.json. Required in live mode.
    """
