"""
Which credential a request carries: a session cookie, a DID token, or none that is ours.

Nothing is proven here. What could be read in two ways is refused, never resolved.
"""

import re
import string
from functools import lru_cache
from typing import NamedTuple

from multidict import CIMultiDictProxy, istr

from gateway.errors import AmbiguousCredentials, InvalidToken, SessionEnded
from gateway.messages import RequestHead

_AUTHORIZATION = istr("Authorization")
_COOKIE = istr("Cookie")

# A scheme is a token (RFC 9110 sections 5.6.2, 11.1) in any case: ``Bearerish`` is another one.
_BEARER = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr](?![!#$%&'*+.^_`|~0-9A-Za-z-])")
_TOKEN68 = (string.ascii_letters + string.digits + "-._~+/").encode()
_SESSION_VALUE = re.compile(r"[A-Za-z0-9_-]{1,128}")
_OWS = " \t"  # RFC 9110 section 5.6.3


class SessionCookie(NamedTuple):
    """The value of our session cookie: 1 to 128 characters of base64url."""

    value: str

    def __repr__(self) -> str:
        return "SessionCookie(…)"  # tracebacks must not hold it


class DidToken(NamedTuple):
    """What stood after ``Bearer``: token68 (RFC 9110 section 11.2), not yet decoded."""

    text: str

    def __repr__(self) -> str:
        return "DidToken(…)"  # tracebacks must not hold it


Credential = SessionCookie | DidToken


def remembered_credential(head: RequestHead, cookie_name: str) -> Credential | None:
    """Like `credential`, read once for fields that are repeated."""
    memo = head.memo
    if memo is None:
        return credential(head.headers, cookie_name)
    if cookie_name not in memo:
        memo[cookie_name] = credential(head.headers, cookie_name)
    known: Credential | None = memo[cookie_name]
    return known


def credential(headers: CIMultiDictProxy[str], cookie_name: str) -> Credential | None:
    """
    The credential to judge the request by; a bearer token goes before the cookie.

    Raises `AmbiguousCredentials` for two of a kind, `InvalidToken` for ``Bearer`` without a token
    and `SessionEnded` for a cookie that cannot be one of ours.
    """
    fields = headers.getall(_AUTHORIZATION, None)
    if fields is not None:
        token = _bearer(fields)
        if token is not None:
            return token
    cookies = headers.getall(_COOKIE, None)
    if cookies is None:
        return None
    return _session_cookie(cookies, cookie_name)


def without_cookie(cookie_field: str | bytes, name: str | bytes) -> bytes | None:
    """
    A Cookie field value with our own pairs cut out; None when nothing is left of it.

    The other pairs keep every byte. An app never gets to see the secret of a session.
    """
    field, own = _wire(cookie_field), _wire(name)
    if own not in field:
        return field
    pairs = field.split(b";")
    kept = [pair for pair in pairs if own not in pair or not _is_called(own, pair)]
    if len(kept) == len(pairs):
        return field
    rest = b";".join(kept).lstrip(b" \t")
    return rest if rest.strip(b" \t;") else None


def _bearer(fields: list[str]) -> DidToken | None:
    if len(fields) > 1:
        raise AmbiguousCredentials("several Authorization fields")
    scheme = _BEARER.match(fields[0])
    if scheme is None:
        return None  # Basic and the like are between the client and the app
    rest = fields[0][scheme.end() :]
    token = rest.lstrip(" ")
    if token == rest or not _is_token68(token):
        raise InvalidToken("Bearer without a token68")
    return DidToken(token)


def _is_token68(text: str) -> bool:
    """RFC 9110 section 11.2. Deleting what may occur is five times as fast as matching it."""
    body = text.rstrip("=")
    return body != "" and body.isascii() and not body.encode().translate(None, _TOKEN68)


def _session_cookie(fields: list[str], name: str) -> SessionCookie | None:
    prefix = name + "="
    if len(fields) == 1 and fields[0].startswith(prefix) and ";" not in fields[0]:
        return _checked(fields[0][len(prefix) :])  # the usual case: nothing but our cookie
    found = [value for field in fields if name in field for value in _pairs(name).findall(field)]
    if not found:
        return None
    values = {value.strip(_OWS) for value in found}
    if len(values) > 1:
        raise AmbiguousCredentials("several session cookies")
    return _checked(values.pop())


def _checked(value: str) -> SessionCookie:
    if _SESSION_VALUE.fullmatch(value) is None:
        raise SessionEnded("malformed cookie")
    return SessionCookie(value)


@lru_cache(maxsize=8)
def _pairs(name: str) -> re.Pattern[str]:
    """
    Finds the values of the cookie pairs called ``name``.

    Names are told apart by case (RFC 6265 section 5.4); the space around them, which the grammar
    forbids, is ignored because apps ignore it too.
    """
    return re.compile(rf"(?:^|;)[{_OWS}]*{re.escape(name)}[{_OWS}]*=([^;]*)")


def _is_called(own: bytes, pair: bytes) -> bool:
    """Whether `_pairs` would find ``pair``."""
    name, equals, _ = pair.partition(b"=")
    return bool(equals) and name.strip(b" \t") == own


def _wire(text: str | bytes) -> bytes:
    """The bytes of a field; the inverse of how aiohttp decodes them."""
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
