"""
Parsers of names: entries of the config, identity headers, the cookie, methods, protocols.

The `ValueError` of a parser says what was expected and never shows the text.
"""

import re
from typing import Annotated

from pydantic import ValidatorFunctionWrapHandler, WithJsonSchema, WrapValidator

from gateway.config.units import of_text
from gateway.core.method import UNFORWARDED
from gateway.headers.foreign import is_foreign

# Names end up in Redis keys between colons, in metrics and in log lines.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")

# Narrower than an RFC 9110 token: apps may map several spellings to one name (CGI turns - and _
# into the same character), and only the plain one can be configured.
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")

# RFC 6265 section 4.1.1, by way of RFC 2616 section 2.2.
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}")

# No braces: they enclose the hash tag that selects the node of a Redis Cluster.
_KEY_PREFIX = re.compile(r"[A-Za-z0-9:._/-]{0,64}")

_METHOD = re.compile(r"[A-Z][A-Z-]{0,31}")

RESERVED_HEADERS = frozenset(
    {
        # hop-by-hop fields (RFC 9110 section 7.6.1 and its predecessors)
        "connection", "keep-alive", "proxy-authenticate", "proxy-authorization",
        "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
        # framing and routing of the message
        "content-encoding", "content-length", "content-type", "expect", "host",
        # the caller's own credentials
        "authorization", "cookie",
        # fields that the gateway writes with another meaning
        "forwarded", "via", "x-auth-method", "x-request-id",
    }
)  # fmt: skip
"""
Names that an identity header cannot have, in lower case.

``x-forwarded-*`` and ``x-gateway-*`` are reserved too.
"""


def name(text: str) -> str:
    """Check the name of a route, a limit or an upstream. Raises `ValueError`."""
    if not _NAME.fullmatch(text):
        raise ValueError(
            "expected a name of up to 64 letters, digits, - and _, starting with a letter or digit"
        )
    return text


def header_name(text: str) -> str:
    """Check the name of an identity header. Raises `ValueError`."""
    if not _HEADER.fullmatch(text):
        raise ValueError("expected a header name of letters, digits and -, starting with a letter")
    if text.lower() in RESERVED_HEADERS or text.lower().startswith(("x-forwarded-", "x-gateway-")):
        raise ValueError("this header has another meaning: choose another name, such as X-User-…")
    return text


def foreign_field(text: str) -> str:
    """Check the name of a field that other gateways write. Raises `ValueError`."""
    if not _HEADER.fullmatch(text):
        raise ValueError("expected a header name of letters, digits and -, starting with a letter")
    if not is_foreign(text):
        raise ValueError("expected a field that other gateways write, see docs/headers.md")
    return text


def cookie_name(text: str) -> str:
    """Check the name of the session cookie. Raises `ValueError`."""
    if not _TOKEN.fullmatch(text):
        raise ValueError("expected a cookie name: letters, digits and !#$%&'*+-.^_`|~")
    return text


def needs_https(cookie: str) -> bool:
    """Whether browsers accept a cookie of this name only over https (RFC 6265bis, 4.1.3)."""
    return cookie.lower().startswith(("__host-", "__secure-"))


def key_prefix(text: str) -> str:
    """Check the prefix of keys in the store; it may be empty. Raises `ValueError`."""
    if not _KEY_PREFIX.fullmatch(text):
        raise ValueError("expected up to 64 letters, digits and :._/-")
    return text


def method(text: str) -> str:
    """Check a request method that the gateway forwards. Raises `ValueError`."""
    if not _METHOD.fullmatch(text):
        raise ValueError("expected a request method in upper case, such as GET")
    if text in UNFORWARDED:
        raise ValueError("CONNECT and TRACE are never forwarded")
    return text


# RFC 9110 section 7.8: a name, and perhaps a version.
_UPGRADE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,63}(/[A-Za-z0-9.+_-]{1,16})?")
_HTTP_ITSELF = frozenset({"h2c", "h2", "h3", "http", "tls"})


def upgrade(text: str) -> str:
    """
    Parse a protocol to upgrade to, into lower case. Raises `ValueError`.

    Other forms of HTTP are refused: requests in them would bypass the gateway (CVE-2026-88008).
    """
    if not _UPGRADE.fullmatch(text):
        raise ValueError("expected an upgrade token, such as websocket")
    if text.lower().partition("/")[0] in _HTTP_ITSELF:
        raise ValueError(
            "h2c, HTTP and TLS are refused: they would carry requests past the gateway"
        )
    return text.lower()


Name = Annotated[
    str, of_text(name), WithJsonSchema({"type": "string", "pattern": f"^{_NAME.pattern}$"})
]
"""The name of an entry."""

HeaderName = Annotated[
    str, of_text(header_name), WithJsonSchema({"type": "string", "pattern": f"^{_HEADER.pattern}$"})
]
"""The name of a header that the gateway writes."""

ForeignField = Annotated[
    str,
    of_text(foreign_field),
    WithJsonSchema({"type": "string", "pattern": f"^{_HEADER.pattern}$"}),
]
"""The name of a field that other gateways write."""

CookieName = Annotated[str, of_text(cookie_name), WithJsonSchema({"type": "string"})]
"""The name of a cookie."""

KeyPrefix = Annotated[
    str,
    of_text(key_prefix),
    WithJsonSchema({"type": "string", "pattern": f"^{_KEY_PREFIX.pattern}$"}),
]
"""The prefix of all keys in the store."""

MethodName = Annotated[
    str, of_text(method), WithJsonSchema({"type": "string", "pattern": f"^{_METHOD.pattern}$"})
]
"""A request method."""

ANY_METHOD = frozenset({"any"})
"""Stands for all methods, known or not; none has lower-case letters."""


def _any_or(value: object, listed: ValidatorFunctionWrapHandler) -> object:
    return ANY_METHOD if value == "any" else listed(value)


RouteMethods = Annotated[
    frozenset[MethodName],
    WrapValidator(_any_or),
    WithJsonSchema(
        {
            "anyOf": [
                {
                    "type": "array",
                    "items": {"type": "string", "pattern": f"^{_METHOD.pattern}$"},
                    "uniqueItems": True,
                    "minItems": 1,
                },
                {"const": "any"},
            ]
        }
    ),
]
"""Methods of a route: a list, or the word any."""

UpgradeToken = Annotated[
    str,
    of_text(upgrade),
    WithJsonSchema({"type": "string", "pattern": f"^{_UPGRADE.pattern}$"}),
]
"""A protocol to upgrade to."""
