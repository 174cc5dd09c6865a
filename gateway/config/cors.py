"""Section ``routes.*.cors``: the pages of other origins that may use a route."""

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
    """Parse an origin into the form of ``Origin``, or ``*`` for any. Raises `ValueError`."""
    return text if text == _ANY else origin(text)


def field_name(text: str) -> str:
    """Check the name of a header field. Raises `ValueError`."""
    if not _TOKEN.fullmatch(text):
        raise ValueError("expected the name of a header field; * is not one")
    return text


CorsOrigin = Annotated[
    str,
    of_text(cors_origin),
    WithJsonSchema({"type": "string", "examples": ["https://shop.example.com", "*"]}),
]
"""An origin, or ``*``."""

FieldName = Annotated[
    str, of_text(field_name), WithJsonSchema({"type": "string", "pattern": f"^{_TOKEN.pattern}$"})
]
"""The name of a header field."""


class CorsSettings(Section):
    """CORS policy of a route. It replaces the CORS fields of the app's responses."""

    origins: tuple[CorsOrigin, ...] = ()
    """
    Origins whose pages may read responses, such as https://shop.example.com; or only "*" for any
    origin, which excludes `credentials`.
    """
    methods: Annotated[Annotated[frozenset[MethodName], SOME] | None, GIVEN] = None
    """
    Methods that the pages may use. When absent, the methods of the route; if it lists none, GET,
    HEAD, POST, PUT, PATCH and DELETE.
    """
    headers: tuple[FieldName, ...] = ("Authorization", "Content-Type")
    """Header fields that the pages may send."""
    expose: tuple[FieldName, ...] = ("RateLimit", "Retry-After", "X-Request-Id")
    """Header fields of responses that the pages may read, beside those that any page may read."""
    credentials: Flag = False
    """
    Whether the pages may make requests with the visitor's session, state-changing ones included.
    Such pages must be trusted like your own.
    """
    max_age_s: Duration = Field(600.0, alias="max_age")
    """Time for which browsers may cache the response to a preflight."""
    preflight: Literal["answer", "pass"] = "answer"
    """
    answer: the gateway responds to preflights. pass: the app does, and writes all CORS fields of
    the route; preflights reach it without authentication.
    """

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        if _ANY in self.origins and (self.credentials or len(self.origins) > 1):
            raise ValueError('"*" must be the only origin, and excludes credentials: true')
        if not self.origins and self.preflight == "answer":
            raise ValueError("expected origins, or preflight: pass")
        return self
