"""
Credentials of a request: finds session cookie, DID token, API key and JWT in its header fields.

Nothing is verified here. Ambiguous credentials are refused, never resolved.
"""

import re
import string
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

from multidict import CIMultiDictProxy, istr

from gateway.core.errors import AmbiguousCredentials, InvalidToken
from gateway.core.identity import AuthMethod
from gateway.core.reasons import CredentialReason, TokenReason
from gateway.core.request import RequestHead, ValueWithMemo

_AUTHORIZATION = istr("Authorization")
_COOKIE = istr("Cookie")

_SCHEME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]*")
BEARER = "bearer"
"""The scheme of the tokens that are for the gateway (RFC 6750 section 2.1), in lower case."""
_TOKEN68 = (string.ascii_letters + string.digits + "-._~+/").encode()
_SESSION_VALUE = re.compile(r"[A-Za-z0-9_-]{1,128}")
_OWS = " \t"  # RFC 9110 section 5.6.3
_BEFORE_PAIR = ("", ";")
"""What may stand before a cookie pair: nothing, or the end of another."""


class AmbientSource(NamedTuple):
    """A cookie or field in which browsers send a credential of a kind by themselves."""

    method: AuthMethod
    name: str
    is_cookie: bool


class Credential(NamedTuple):
    """A credential as found in the request, neither decoded nor verified."""

    method: AuthMethod
    text: str
    """
    The cookie's value for a session, empty where it is malformed; any text from an ambient source;
    otherwise a token68.
    """
    source: AmbientSource | None = None
    """None for a session, and for what the client has added on purpose."""

    def __repr__(self) -> str:
        return f"Credential({self.method}, …)"  # tracebacks must not hold it


Credentials = tuple[Credential, ...]
"""The credentials of a request, in the order of `CredentialReader`."""


class BearerKind(NamedTuple):
    """A kind of bearer token, told from others by its shape."""

    method: AuthMethod
    has_shape: Callable[[str], bool]


class CredentialHeader(NamedTuple):
    """A field that may hold a credential of one kind, beside ``Authorization``."""

    name: str
    method: AuthMethod
    several: CredentialReason
    """Why a request with two of them is refused."""


def auth_scheme(authorization: str) -> str:
    """
    Return the scheme of an ``Authorization`` field, in lower case.

    A scheme is a token (RFC 9110 sections 5.6.2, 11.1), in any letter case. Whatever follows ends
    it: ``Bearer,x`` has the scheme Bearer and a malformed token, and ``Bearerish x`` another one.
    """
    scheme = _SCHEME.match(authorization)
    return scheme[0].lower() if scheme is not None else ""


def is_bearer(authorization: str) -> bool:
    """Return whether an ``Authorization`` field is for the gateway, well-formed or not."""
    return auth_scheme(authorization) == BEARER


def any_shape(_token: str) -> bool:
    """For the kind that takes each token which no other kind has taken."""
    return True


DID_TOKENS = BearerKind(AuthMethod.DID_TOKEN, any_shape)


class CredentialReader:
    """
    Reads the credentials in a request's fields; made once for each config.

    First come those that the client has added on purpose, then those that browsers send by
    themselves: the session cookie, and what is in an ambient source. A bearer token is of the first
    kind whose shape it has. A kind that the config does not enable is not looked for: such a token
    is a malformed DID token.
    """

    def __init__(
        self,
        cookie_name: str,
        bearers: Sequence[BearerKind] = (DID_TOKENS,),
        headers: Sequence[CredentialHeader] = (),
        sources: Sequence[AmbientSource] = (),
    ) -> None:
        """``bearers``: the one that takes any shape comes last."""
        self._cookie_name = cookie_name
        self._memo_mark = object()
        """Marks what this config has found: a line may outlive any number of configs."""
        self._bearers = tuple(bearers)
        self._headers = tuple((istr(header.name), header) for header in headers)
        self._sources = tuple(sources)

    def read_cached(self, head: RequestHead) -> tuple[Credential, ...]:
        """Find the credentials like `read`, with the result cached for fields that are repeated."""
        memo = head.memo
        if memo is None:
            return self.read(head.headers)
        known: tuple[Credential, ...] | None = memo.get(self)
        if known is None:
            known = memo[self] = self.read(head.headers)
        return known

    def read(self, headers: CIMultiDictProxy[str]) -> tuple[Credential, ...]:
        """
        Find the credentials of a request, at most one of each kind and ambient source.

        Raises `AmbiguousCredentials` for two of them, and `InvalidToken` for ``Bearer`` without a
        token.
        """
        found: tuple[Credential, ...] = ()
        fields = headers.getall(_AUTHORIZATION, None)
        if fields is not None:
            found = self._bearer(fields)
        if self._headers:
            found = self._with_headers(found, headers)
        cookies = headers.getall(_COOKIE, None)
        if cookies is not None:
            found += self._session(cookies)
        for source in self._sources:
            found += _from_source(headers, source)
        return found

    def _session(self, cookies: list[str]) -> tuple[Credential, ...]:
        """Find the session among the cookies; once for a field that comes again."""
        first = cookies[0]
        if type(first) is not ValueWithMemo or len(cookies) > 1:
            return _session_cookie(cookies, self._cookie_name)
        known = first.session
        if known is None or known[0] is not self._memo_mark:
            found = _session_cookie(cookies, self._cookie_name)
            known = first.session = self._memo_mark, found
        session: tuple[Credential, ...] = known[1]
        return session

    def _with_headers(
        self, found: tuple[Credential, ...], headers: CIMultiDictProxy[str]
    ) -> tuple[Credential, ...]:
        for name, header in self._headers:
            values = headers.getall(name, None)
            if values is not None:
                found = _with_header(found, values, header)
        return found

    def _bearer(self, fields: list[str]) -> tuple[Credential, ...]:
        if len(fields) > 1:
            raise AmbiguousCredentials(CredentialReason.SEVERAL_AUTHORIZATIONS)
        if not is_bearer(fields[0]):
            return ()  # other schemes, such as Basic, are for the app
        rest = fields[0][len(BEARER) :]
        token = rest.lstrip(" ")
        if token == rest or not _is_token68(token):
            raise InvalidToken(TokenReason.MALFORMED)
        return (Credential(self._kind_of(token), token),)

    def _kind_of(self, token: str) -> AuthMethod:
        for method, has_shape in self._bearers:
            if has_shape(token):
                return method
        raise InvalidToken(TokenReason.MALFORMED)


def _with_header(
    found: tuple[Credential, ...], values: list[str], header: CredentialHeader
) -> tuple[Credential, ...]:
    """Add the credential of a field of its own; one that is also a bearer token counts once."""
    method = header.method
    texts = {value.strip(_OWS) for value in values}
    texts.update(sent.text for sent in found if sent.method == method)
    if len(texts) > 1:
        raise AmbiguousCredentials(header.several)
    others = tuple(sent for sent in found if sent.method != method)
    return (*others, Credential(method, texts.pop()))


def _from_source(headers: CIMultiDictProxy[str], source: AmbientSource) -> tuple[Credential, ...]:
    """Find the credential in an ambient source; an empty value is none."""
    if source.is_cookie:
        values = cookie_values(headers, source.name)
    else:
        values = list({value.strip(_OWS) for value in headers.getall(source.name, ())})
    if len(values) > 1:
        raise AmbiguousCredentials(CredentialReason.SEVERAL_IN_SOURCE)
    return (Credential(source.method, values[0], source),) if values and values[0] else ()


def cookie_values(headers: CIMultiDictProxy[str], cookie_name: str) -> list[str]:
    """Return the distinct values of all cookies of a name in a request."""
    fields = headers.getall(_COOKIE, ())
    found = (value for field in fields for value in _pairs(cookie_name).findall(field))
    return list(dict.fromkeys(value.strip(_OWS) for value in found))


def without_cookie(cookie_field: str | bytes, name: str | bytes) -> bytes | None:
    """
    Remove the pairs called ``name`` from a Cookie field value; None when nothing is left of it.

    The other pairs keep every byte. An app never sees the secret of a session.
    """
    field, own = _wire(cookie_field), _wire(name)
    count = field.count(own)
    if count == 0:
        return field
    rest = _without_only_pair(field, own) if count == 1 else _without_pairs(field, own)
    if rest is None:
        return field
    rest = rest.lstrip(b" \t")
    return rest if rest.strip(b" \t;") else None


def _without_only_pair(field: bytes, own: bytes) -> bytes | None:
    """Do what `_without_pairs` does where ``own`` occurs once, in half the time."""
    before, _, after = field.partition(own)
    left, follows, start = before.rpartition(b";")
    value, precedes, right = after.partition(b";")
    if start.strip(b" \t") or not value.lstrip(b" \t").startswith(b"="):
        return None
    return left + b";" + right if follows and precedes else left or right


def _without_pairs(field: bytes, own: bytes) -> bytes | None:
    """Return ``field`` without the pairs called ``own``; None where there is none."""
    pairs = field.split(b";")
    kept = [pair for pair in pairs if own not in pair or not _has_name(own, pair)]
    return b";".join(kept) if len(kept) < len(pairs) else None


def _is_token68(text: str) -> bool:
    """
    Whether ``text`` is a token68 (RFC 9110 section 11.2).

    Deleting the allowed characters is five times as fast as matching them.
    """
    body = text.rstrip("=")
    return body != "" and body.isascii() and not body.encode().translate(None, _TOKEN68)


def _session_cookie(fields: list[str], name: str) -> tuple[Credential, ...]:
    if len(fields) == 1 and fields[0].count(name) == 1:  # the usual case, without the pattern
        before, prefix, rest = fields[0].partition(name + "=")
        if prefix and before.rstrip(_OWS)[-1:] in _BEFORE_PAIR:
            return _session(rest.partition(";")[0].strip(_OWS))
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
    Compile the pattern that finds the values of the cookie pairs called ``name``.

    Names are case-sensitive (RFC 6265 section 5.4). Space around them, which the grammar forbids,
    is ignored, because apps ignore it too.
    """
    return re.compile(rf"(?:^|;)[{_OWS}]*{re.escape(name)}[{_OWS}]*=([^;]*)")


def _has_name(own: bytes, pair: bytes) -> bool:
    """Whether `_pairs` would find ``pair``."""
    name, equals, _ = pair.partition(b"=")
    return bool(equals) and name.strip(b" \t") == own


def _wire(text: str | bytes) -> bytes:
    """Return the bytes of a field: the inverse of aiohttp's decoding."""
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
