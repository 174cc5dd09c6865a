"""Which pages of other origins may use a route: ``cors:``."""

import re
from typing import Annotated, Literal, Self

from pydantic import Field, WithJsonSchema, model_validator

from gateway.config.addresses import origin
from gateway.config.names import MethodName
from gateway.config.section import GIVEN, SOME, Section
from gateway.config.units import Duration, Flag, of_text

_ANY = "*"
_TOKEN = re.compile(r"[!#$%&'+.^_`|~0-9A-Za-z-]{1,128}")  # RFC 9110 section 5.6.2, less the star


def cors_origin(text: str) -> str:
    """An origin as browsers write it in ``Origin``, or ``*`` for any. Raises `ValueError`."""
    return text if text == _ANY else origin(text)


def field_name(text: str) -> str:
    """The name of a header field. Raises `ValueError`."""
    if not _TOKEN.fullmatch(text):
        raise ValueError("expected the name of a header field; * is not one")
    return text


CorsOrigin = Annotated[
    str,
    of_text(cors_origin),
    WithJsonSchema({"type": "string", "examples": ["https://shop.example.com", "*"]}),
]
"""An origin, or any."""

FieldName = Annotated[
    str, of_text(field_name), WithJsonSchema({"type": "string", "pattern": f"^{_TOKEN.pattern}$"})
]
"""The name of a header field."""


class CorsSettings(Section):
    """Which pages of other origins may use a route. What apps say of it is replaced."""

    origins: tuple[CorsOrigin, ...] = ()
    """Origins such as https://shop.example.com; or "*" alone for any, then without credentials."""
    methods: Annotated[Annotated[frozenset[MethodName], SOME] | None, GIVEN] = None
    """Methods that they may use; those of the route when absent, or the usual ones."""
    headers: tuple[FieldName, ...] = ("Authorization", "Content-Type")
    """Header fields that they may send."""
    expose: tuple[FieldName, ...] = ("RateLimit", "Retry-After", "X-Request-Id")
    """Header fields of answers that they may read, beside the usual ones."""
    credentials: Flag = False
    """Whether they may act with the visitor's session, also to change things."""
    max_age_s: Duration = Field(600.0, alias="max_age")
    """How long browsers may remember the answer to a preflight."""
    preflight: Literal["answer", "pass"] = "answer"
    """answer: here; pass: the app answers preflights, unauthenticated, and speaks CORS itself."""

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        if _ANY in self.origins and (self.credentials or len(self.origins) > 1):
            raise ValueError('"*" stands alone, and without credentials')
        if not self.origins and self.preflight == "answer":
            raise ValueError("expected origins, or preflight: pass")
        return self
