"""
Rewrites the field lines of requests: strip first, write second (RFC 9110 section 7.6).

Fields that a client could forge in the gateway's name are dropped before the gateway writes a line,
on every route, public ones included.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from itertools import compress
from typing import NamedTuple
from urllib.parse import quote

import orjson
from multidict import istr

from gateway.authn.credentials import BEARER, auth_scheme, without_cookie
from gateway.core.identity import Identity
from gateway.core.request import Client, ReceivedLines, RequestHead, ValueWithMemo
from gateway.core.route import Route
from gateway.headers.fields import CRLF, FieldAction, LearntByName, normalise_name
from gateway.headers.foreign import is_foreign
from gateway.headers.forwarded import ForwardedFields, forwarding_lines
from gateway.headers.head_shape import HeadShape, Part, part_of
from gateway.headers.hop_by_hop import HOP_BY_HOP, nominated_fields
from gateway.headers.internal import internal_fields
from gateway.util.by_identity import ByIdentity
from gateway.util.generations import Generations
from gateway.util.weakly import weakly

DEFAULT_IDENTITY_NAMES = frozenset(
    {
        "X-User-Issuer",
        "X-User-Email",
        "X-User-Public-Address",
        "X-User-Phone",
        "X-User-Roles",
        "X-User-Permissions",
    }
)
"""Stripped even where the config renames them: an app may still read them."""

_COOKIE = istr("Cookie")
_HOST = istr("Host")
_USUAL_BEARER = b"Bearer "
_COOKIE_BEGIN = len("Cookie: ")
_AUTHORIZATION_BEGIN = len("Authorization: ")
_USUAL_CONNECTIONS = frozenset(
    name + option
    for name in (b"Connection: ", b"connection: ")
    for option in (b"keep-alive", b"Keep-Alive", b"close", b"Close")
)
"""Lines that nominate no field that would pass."""

AUTH_METHOD = "X-Auth-Method"
"""Tells the app how its caller was authenticated: the value of an `AuthMethod`."""
INTERNAL_IDENTITY = "X-Gateway-Identity"
_OURS = frozenset({"forwarded", "x-real-ip", "x-request-id", AUTH_METHOD.lower()})
_OUR_PREFIXES = ("x-forwarded-", "x-gateway-")
_CONNECTION_BOUND = frozenset({"ntlm", "negotiate", "kerberos"})
"""Schemes that authenticate a connection: on a shared one, all users would be that user."""
_OVERRIDES = frozenset(
    {
        # They make an app serve another path or method than the one that was authorised.
        "proxy",  # CGI makes HTTP_PROXY of it (CVE-2016-5385)
        "x-original-url",
        "x-original-uri",
        "x-original-method",
        "x-rewrite-url",
        "x-http-method",
        "x-http-method-override",
        "x-method-override",
    }
)

_UNENCODED = re.compile(r"[!-$&-~]*")
"""What `encode_value` leaves as it is: visible ASCII without the percent sign."""

MAX_IDENTITIES = 4096
_MAX_SHAPES = 128
_MAX_SHAPE_NAMES = 32
"""Of a shape that is kept: all of them take 1 MiB at most."""


class IdentityNames(NamedTuple):
    """The header names in which an app reads the caller's identity."""

    issuer: str = "X-User-Issuer"
    email: str = "X-User-Email"
    public_address: str = "X-User-Public-Address"
    phone: str = "X-User-Phone"
    roles: str = "X-User-Roles"
    permissions: str = "X-User-Permissions"


_IS_KEPT = {FieldAction.KEEP: True, FieldAction.DROP: False, FieldAction.HOST: False}


class _FieldPolicy:
    """What is done with each field on the way to apps that let the same fields pass."""

    __slots__ = (
        "_parts",
        "actions",
        "is_kept",
        "memo_key",
        "memo_key_with_credentials",
        "shapes",
    )

    def __init__(self, decide: Callable[[str], FieldAction]) -> None:
        self.actions = LearntByName(decide)
        self.is_kept = LearntByName[str, bool | None](
            lambda name: _IS_KEPT.get(decide(name)),
        )
        """None where it depends on more than the name: on the value, or the route."""
        self._parts = LearntByName[str, Part](lambda name: part_of(name, decide(name)))
        self.memo_key, self.memo_key_with_credentials = object(), object()
        """Keys under which a memo keeps the lines that this policy makes of its fields."""
        self.shapes: Generations[tuple[str, ...], HeadShape] = Generations(_MAX_SHAPES)

    def learn_shape(self, names: tuple[str, ...]) -> HeadShape:
        """Return the shape of a head whose lines have ``names``, and keep it if it is not large."""
        shape = self.shapes.renew(names)
        if shape is None:
            shape = HeadShape(map(self._parts.__getitem__, names))
            if len(names) <= _MAX_SHAPE_NAMES:
                self.shapes.keep(names, shape)
        return shape


class RequestFields:
    """Rewrites the field lines of requests; one object for each config."""

    def __init__(
        self,
        names: IdentityNames,
        cookie_name: str,
        public_host: str,
        forwarded: ForwardedFields = ForwardedFields.BOTH,
        credential_headers: tuple[str, ...] = (),
        more_names: tuple[str, ...] = (),
        credential_cookies: tuple[str, ...] = (),
        *,
        writes_via: bool = True,
        max_identities: int = MAX_IDENTITIES,
        replaced_names: tuple[str, ...] = (),
    ) -> None:
        """
        Take the names of further identity fields, which others write, in ``more_names``.

        ``credential_cookies`` hold credentials, like the session cookie. The lines of the last
        ``max_identities`` identities are kept. Fields of ``replaced_names`` are dropped: another
        part of the gateway writes them.
        """
        self._names = names
        self._credential_headers = frozenset(map(normalise_name, credential_headers))
        self.identity_names = (*names, AUTH_METHOD, *more_names)
        """All names that `identity_lines` can hold."""
        self._cookie_names = tuple(
            name.encode("ascii") for name in (cookie_name, *credential_cookies)
        )
        self._cookie_pair = cookie_name + "="
        self._memo_mark = object()
        """Marks what this config has left of a Cookie field: a line may outlive many configs."""
        self._public_host = public_host
        self._reserved = _OURS | {
            normalise_name(name)
            for name in (*names, *more_names, *replaced_names, *DEFAULT_IDENTITY_NAMES)
        }
        self._policy = self._policy_for(frozenset())
        self._policies = lru_cache(maxsize=None)(weakly(self._policy_for))
        """Of routes that let fields pass: as many as the config has of such sets."""
        self._identity_blocks: ByIdentity[bytes] = ByIdentity(max_identities)
        self._hop_block = lru_cache(maxsize=4096)(partial(forwarding_lines, forwarded, writes_via))

    def rewrite(
        self,
        head: RequestHead,
        route: Route,
        client: Client,
        scheme: str,
        identity: Identity | None,
    ) -> bytes:
        """Return the field lines for the app, each with its CRLF, without framing fields."""
        host = head.headers.get(_HOST) or self._public_host
        parts = [
            self._kept_lines(head, route),
            self._hop_block(host, client.text, scheme, route.hidden_prefix, route.rewrites_host),
            head.request_id.encode("ascii"),
            CRLF,
        ]
        is_told_all = route.is_internal or route.is_dashboard
        if identity is not None:
            parts.append(self._identity_block(identity))
            if is_told_all:
                parts.append(internal_identity(identity))
        if is_told_all:
            cookie_name = self._cookie_pair[:-1]
            parts.append(internal_fields(route, client, head.headers, cookie_name))
        return b"".join(parts)

    def _kept_lines(self, head: RequestHead, route: Route) -> bytes:
        """Return the lines that pass, each with its CRLF; computed once for repeated fields."""
        passed = route.passed_fields
        policy = self._policies(passed) if passed else self._policy
        key = policy.memo_key_with_credentials if route.forward_credentials else policy.memo_key
        memo = head.memo
        if memo is not None and (known := memo.get(key)) is not None:
            return bytes(known)
        kept = self._strip(head, route, policy)
        if memo is not None:
            memo[key] = kept
        return kept

    def _strip(self, head: RequestHead, route: Route, policy: _FieldPolicy) -> bytes:
        names, lines = head.lines
        names = tuple(names)
        shape = policy.shapes.get(names) or policy.learn_shape(names)
        connection, authorization = shape.connection, shape.authorization
        if (
            (connection >= 0 and lines[connection] not in _USUAL_CONNECTIONS)
            or (authorization >= 0 and not _is_usual_bearer(lines[authorization]))
            or route.forward_credentials
            or shape.is_unusual
        ):
            return CRLF.join([*self._strip_each(head, route, policy), b""])
        left = b""
        if shape.cookie >= 0:
            left = self._left_of_cookie(head.headers[_COOKIE], lines[shape.cookie])
        return shape.join(lines, left)

    def _left_of_cookie(self, value: str, line: bytes) -> bytes:
        """Return what is left of a Cookie line, found once for one that comes again."""
        if value.startswith(self._cookie_pair) and ";" not in value:
            return b""  # there is no cookie but the session's
        if type(value) is not ValueWithMemo:
            return self._without_credentials(line)
        known = value.left
        if known is None or known[0] is not self._memo_mark:
            known = value.left = self._memo_mark, self._without_credentials(line)
        return known[1]

    def _without_credentials(self, line: bytes) -> bytes:
        """Return the Cookie line without the cookies that hold credentials; empty for none left."""
        left = self._without_credentials_in(line[_COOKIE_BEGIN:])
        return line[:_COOKIE_BEGIN] + left if left is not None else b""

    def _strip_each(self, head: RequestHead, route: Route, policy: _FieldPolicy) -> Sequence[bytes]:
        """Judge each line that depends on its value, or on what ``Connection`` nominates."""
        names, nominated = head.lines.names, nominated_fields(head.headers)
        kept = list(map(policy.is_kept.__getitem__, names))
        if nominated:
            for index, name in enumerate(names):
                if _wire_name(name) in nominated:
                    kept[index] = False
        return self._with_credentials(head.lines, kept, route, policy)

    def _with_credentials(
        self, fields: ReceivedLines, kept: list[bool | None], route: Route, policy: _FieldPolicy
    ) -> Sequence[bytes]:
        """Return the kept lines with what is left of those that hold credentials."""
        names, lines = fields.names, list(fields.lines)
        while None in kept:
            index = kept.index(None)
            left = self._kept(names[index], lines[index], route, policy)
            lines[index], kept[index] = left or b"", left is not None
        return list(compress(lines, kept))

    def _kept(self, name: str, line: bytes, route: Route, policy: _FieldPolicy) -> bytes | None:
        """Return what is left of the line of a credential; None where it is dropped."""
        action, begin = policy.actions[name], len(name) + len(": ")
        if action is FieldAction.AUTHORIZATION:
            scheme = auth_scheme(line[begin:].decode("latin-1"))
            if scheme in _CONNECTION_BOUND or (scheme == BEARER and not route.forward_credentials):
                return None
            return line
        if route.forward_credentials:
            return line
        if action is FieldAction.COOKIE:
            return self._without_credentials(line) or None
        return None

    def _without_credentials_in(self, cookie_field: bytes) -> bytes | None:
        left: bytes | None = cookie_field
        for name in self._cookie_names:
            left = without_cookie(left, name) if left is not None else None
        return left

    def _policy_for(self, passed: frozenset[str]) -> _FieldPolicy:
        return _FieldPolicy(partial(weakly(self._decide), passed))

    def _decide(self, passed: frozenset[str], name: str) -> FieldAction:
        normalised = normalise_name(name)
        if normalised in self._reserved or normalised in _OVERRIDES:
            return FieldAction.DROP
        if normalised in HOP_BY_HOP or normalised == "content-length":
            return FieldAction.DROP
        if normalised in self._credential_headers:  # other spellings were not authenticated
            return FieldAction.CREDENTIAL if name.lower() == normalised else FieldAction.DROP
        if is_foreign(normalised):
            return FieldAction.KEEP if name.lower() in passed else FieldAction.DROP
        if normalised.startswith(_OUR_PREFIXES):
            return FieldAction.DROP
        return _REQUEST_SPECIAL.get(name.lower(), FieldAction.KEEP)

    def identity_lines(self, identity: Identity | None) -> bytes:
        """Return the field lines that tell an app the identity; empty without one."""
        return self._identity_block(identity) if identity is not None else b""

    def _identity_block(self, identity: Identity) -> bytes:
        """Serialise ``identity``, once for each object: to hash one costs more than a look-up."""
        try:
            return self._identity_blocks[id(identity)]
        except KeyError:
            return self._identity_blocks.keep(self._serialise(identity), identity)

    def _serialise(self, identity: Identity) -> bytes:
        user = identity.user
        roles, permissions = ",".join(identity.roles or ()), ",".join(identity.permissions or ())
        values = (user.issuer, user.email, user.public_address, user.phone, roles, permissions)
        lines = [
            f"{name}: {encode_value(value)}\r\n"
            for name, value in zip(self._names, values, strict=True)
            if value
        ]
        return "".join([*lines, f"{AUTH_METHOD}: {identity.method}\r\n"]).encode("ascii")


_REQUEST_SPECIAL: Mapping[str, FieldAction] = {
    "host": FieldAction.HOST,
    "cookie": FieldAction.COOKIE,
    "authorization": FieldAction.AUTHORIZATION,
}


def _is_usual_bearer(line: bytes) -> bool:
    """Whether a line of ``Authorization`` holds a bearer token: then all of it is dropped."""
    return line.startswith(_USUAL_BEARER, _AUTHORIZATION_BEGIN)


def _wire_name(name: str) -> bytes:
    """Return a name as `nominated_fields` lists it."""
    return name.lower().encode("utf-8", "surrogateescape")


def encode_value(value: str) -> str:
    """
    Encode a claim as a field value: visible ASCII stays, all else is percent-encoded UTF-8.

    The percent sign is encoded too, and the space, which recipients trim at both ends: decoding
    gives exactly the claim. No line break is left, so header injection is impossible (RFC 9110
    section 5.5).
    """
    if _UNENCODED.fullmatch(value):
        return value
    return quote(value, safe="!\"#$&'()*+,/:;<=>?@[\\]^`{|}~")


def internal_identity(identity: Identity) -> bytes:
    """Write the whole identity for the gateway's own pages; no app gets this line."""
    value = encode_value(orjson.dumps(identity).decode())
    return f"{INTERNAL_IDENTITY}: {value}\r\n".encode("ascii")
