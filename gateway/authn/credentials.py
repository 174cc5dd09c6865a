"""
Which credentials a request carries: session cookie, DID token, API key, JWT, or none that is ours.

Nothing is proven here. What could be read in two ways is refused, never resolved.
"""

import re
import string
from functools import lru_cache
from typing import NamedTuple

from multidict import CIMultiDictProxy, istr

from gateway.core.errors import AmbiguousCredentials, InvalidToken
from gateway.core.identity import INTERACTIVE_METHODS, AuthMethod
from gateway.core.reasons import CredentialReason, TokenReason
from gateway.core.request import RequestHead

_AUTHORIZATION = istr("Authorization")
_COOKIE = istr("Cookie")

# A scheme is a token (RFC 9110 sections 5.6.2, 11.1) in any case: ``Bearerish`` is another one.
_BEARER = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr](?![!#$%&'*+.^_`|~0-9A-Za-z-])")
_TOKEN68 = (string.ascii_letters + string.digits + "-._~+/").encode()
_SESSION_VALUE = re.compile(r"[A-Za-z0-9_-]{1,128}")
_OWS = " \t"  # RFC 9110 section 5.6.3

API_KEY_START = "gwk_"
"""Of every API key: programs that look for leaked secrets find them by it."""

_DOTS_OF_A_JWT = 2  # RFC 7515 section 7.1


class Credential(NamedTuple):
    """Something that may prove who is asking, not yet decoded."""

    method: AuthMethod
    text: str
    """Of a session: the cookie's value, empty where it cannot be one of ours; else a token68."""

    def __repr__(self) -> str:
        return f"Credential({self.method}, …)"  # tracebacks must not hold it


class CredentialReader:
    """
    Finds the credentials in a request's fields; made once for each config.

    First come those that somebody has put there, then the cookie, which browsers send by
    themselves. A bearer token is of the kind that its shape tells: API keys begin with a word of
    their own, JWTs have two dots, which no DID token can have. A kind that the config does not know
    is not looked for: such a token is a malformed DID token.
    """

    def __init__(
        self,
        cookie_name: str,
        kinds: frozenset[AuthMethod] = INTERACTIVE_METHODS,
        api_key_header: str = "",
    ) -> None:
        """``api_key_header`` is the field that may hold an API key; none where it is empty."""
        self._cookie_name = cookie_name
        self._has_api_keys = AuthMethod.API_KEY in kinds
        self._has_jwts = AuthMethod.JWT in kinds
        self._api_key_header = istr(api_key_header)

    def remembered(self, head: RequestHead) -> tuple[Credential, ...]:
        """Like `read`, read once for fields that are repeated."""
        memo = head.memo
        if memo is None:
            return self.read(head.headers)
        known: tuple[Credential, ...] | None = memo.get(self)
        if known is None:
            known = memo[self] = self.read(head.headers)
        return known

    def read(self, headers: CIMultiDictProxy[str]) -> tuple[Credential, ...]:
        """
        What to judge the request by; at most one of each kind.

        Raises `AmbiguousCredentials` for two of a kind, and `InvalidToken` for ``Bearer`` without a
        token.
        """
        found: tuple[Credential, ...] = ()
        fields = headers.getall(_AUTHORIZATION, None)
        if fields is not None:
            found = self._bearer(fields)
        if self._api_key_header:
            found = self._with_api_key(found, headers)
        cookies = headers.getall(_COOKIE, None)
        if cookies is not None:
            found += _session_cookie(cookies, self._cookie_name)
        return found

    def _bearer(self, fields: list[str]) -> tuple[Credential, ...]:
        if len(fields) > 1:
            raise AmbiguousCredentials(CredentialReason.SEVERAL_AUTHORIZATIONS)
        scheme = _BEARER.match(fields[0])
        if scheme is None:
            return ()  # Basic and the like are between the client and the app
        rest = fields[0][scheme.end() :]
        token = rest.lstrip(" ")
        if token == rest or not _is_token68(token):
            raise InvalidToken(TokenReason.MALFORMED)
        return (Credential(self._kind_of(token), token),)

    def _kind_of(self, token: str) -> AuthMethod:
        if self._has_api_keys and token.startswith(API_KEY_START):
            return AuthMethod.API_KEY
        if self._has_jwts and token.count(".") == _DOTS_OF_A_JWT:
            return AuthMethod.JWT
        return AuthMethod.DID_TOKEN

    def _with_api_key(
        self, found: tuple[Credential, ...], headers: CIMultiDictProxy[str]
    ) -> tuple[Credential, ...]:
        values = headers.getall(self._api_key_header, ())
        if not values:
            return found
        given = {value.strip(_OWS) for value in values}
        given.update(text for method, text in found if method is AuthMethod.API_KEY)
        if len(given) > 1:
            raise AmbiguousCredentials(CredentialReason.SEVERAL_API_KEYS)
        others = tuple(sent for sent in found if sent.method is not AuthMethod.API_KEY)
        return (*others, Credential(AuthMethod.API_KEY, given.pop()))


def presented(headers: CIMultiDictProxy[str], cookie_name: str) -> list[str]:
    """The values of all session cookies of a request, each once; nobody chooses between them."""
    fields = headers.getall(_COOKIE, ())
    found = (value for field in fields for value in _pairs(cookie_name).findall(field))
    return list(dict.fromkeys(value.strip(_OWS) for value in found))


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


def _is_token68(text: str) -> bool:
    """RFC 9110 section 11.2. Deleting what may occur is five times as fast as matching it."""
    body = text.rstrip("=")
    return body != "" and body.isascii() and not body.encode().translate(None, _TOKEN68)


def _session_cookie(fields: list[str], name: str) -> tuple[Credential, ...]:
    prefix = name + "="
    if len(fields) == 1 and fields[0].startswith(prefix) and ";" not in fields[0]:
        return _session(fields[0][len(prefix) :])  # the usual case: nothing but our cookie
    found = [value for field in fields if name in field for value in _pairs(name).findall(field)]
    if not found:
        return ()
    values = {value.strip(_OWS) for value in found}
    if len(values) > 1:
        raise AmbiguousCredentials(CredentialReason.SEVERAL_COOKIES, is_cookie=True)
    return _session(values.pop())


def _session(value: str) -> tuple[Credential, ...]:
    known = value if _SESSION_VALUE.fullmatch(value) else ""
    return (Credential(AuthMethod.SESSION, known),)


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
