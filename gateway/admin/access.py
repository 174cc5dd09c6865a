"""
Access to the dashboard and the API.

`verdict` decides, by how a request has come and by what it proves. Where neither a token nor names
of client certificates are configured, the dashboard is for the machine itself: the peer is on
loopback, or came by a unix socket, and no proxy says that it forwards for others. Else the token is
needed, or a cookie that was given for it, or a certificate with one of the names. The cookie says
until when, sealed by the token: no state is kept, and a new token ends all cookies.

Requests of `admin.route` come through the gateway's own pipeline, which has decided about the
person, and says so in a field that no client can send.
"""

import hashlib
import hmac
import re
from collections.abc import Collection, Mapping, Sequence
from enum import Enum
from ipaddress import IPv6Address, ip_address
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

import orjson

from gateway.admin.guard import host_refusal
from gateway.authn.certificate import CertificateNames, NamePattern
from gateway.core.audit import AuditEntry
from gateway.core.request import Certificate
from gateway.headers.internal import INTERNAL_CLIENT
from gateway.headers.request import INTERNAL_IDENTITY
from gateway.routing.client_address import UNIX

COOKIE: Final = "gateway-admin"
TOKEN_REQUIRED: Final = "token_required"  # noqa: S105 (a code)
SIGNED_IN_S: Final = 12 * 3600

_ADMIN_API: Final = "admin-api"
_UNKNOWN: Final = "unknown"
_FORWARDED: Final = (
    *("forwarded", "via", "x-forwarded-", "x-real-ip", "x-original-", "x-client-ip"),
    *("x-cluster-client-ip", "true-client-ip", "cf-connecting-ip", "x-envoy-"),
)
"""How the names of fields begin that proxies add, in lower case."""
_HTTP_1_1: Final = (1, 1)
_SEALED = re.compile(r"([0-9]{1,12})\.([0-9a-f]{64})")
_ORIGIN = re.compile(r"https?://([^/]*)(?:/.*)?", re.DOTALL)
_READING = frozenset({"GET", "HEAD"})
_CHANGES_NOTHING = frozenset({"/api/explain", "/sign-in", "/sign-out"})


class CameBy(Enum):
    """The way by which a request has come."""

    LOCAL = "from this machine: by loopback or a unix socket, and no proxy forwards it"
    NETWORK = "from another machine, or through a proxy"
    ROUTE = "through the gateway, by admin.route"


class Proof(Enum):
    """The proof of identity that a request brings."""

    NONE = "nothing"
    TOKEN = "the token"  # noqa: S105 (a name)
    COOKIE = "a cookie that was given for the token"
    CERTIFICATE = "a client certificate with one of the names"
    PERSON = "that the gateway has let a person pass"


class Denial(NamedTuple):
    """The reason for which a request is denied, and its answer."""

    status: int
    code: str
    detail: str
    retry_after_s: int = 0
    """0 where trying again is of no use."""


WRONG_TOKEN: Final = Denial(401, "wrong_token", "that is not the token")
_READ_ONLY: Final = Denial(403, "read_only", "admin.read_only is set")


class Operator(NamedTuple):
    """The operator who asks, for the audit file."""

    actor: str = _ADMIN_API
    """The issuer of a person or a certificate; else `admin-api`: a token names no person."""
    origin: str = ""
    email: str = ""

    @property
    def reader(self) -> str:
        """Who has the pages that this operator opens."""
        return self.origin if self.actor == _ADMIN_API else self.actor

    def sign(self, entry: AuditEntry) -> AuditEntry:
        """Return ``entry`` as one about what this operator has done."""
        details = {**entry.details, "email": self.email} if self.email else entry.details
        return entry._replace(actor=self.actor, origin=self.origin, details=details)


class AdminRequest(NamedTuple):
    """The parts of a request that decide about access."""

    method: str
    path: str
    """Below the place of the dashboard, as in its own routes."""
    headers: Mapping[str, str]
    peer: str
    """Address of the other end of the socket; ``unix:`` for a unix socket."""
    cookie: str = ""
    certificate: Certificate | None = None
    """Certificate of the client; TLS has verified its issuer."""
    version: tuple[int, int] = _HTTP_1_1

    @property
    def changes(self) -> bool:
        """Whether it asks for a change."""
        return self.method not in _READING and self.path not in _CHANGES_NOTHING

    @property
    def bearer(self) -> str:
        """The token that it sends; empty without one."""
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else ""


def verdict(
    way: CameBy,
    proof: Proof,
    *,
    has_token: bool,
    has_names: bool,
    is_read_only: bool,
    changes: bool,
) -> Denial | None:
    """
    Return why a request is denied, or None.

    The whole of the rules: docs/dashboard.md has them as a table. A cookie or a token that is wrong
    proves nothing, as does a certificate that has none of the names.
    """
    if way is CameBy.ROUTE:
        if proof is not Proof.PERSON:
            return Denial(403, "forbidden", "the gateway names no person")
    elif has_token or has_names:
        if proof in (Proof.NONE, Proof.PERSON):
            return _needed(has_token=has_token, has_names=has_names)
    elif way is CameBy.NETWORK:
        return Denial(403, "not_local", "without admin.token, it answers this machine alone")
    if changes and is_read_only:
        return _READ_ONLY
    return None


def _needed(*, has_token: bool, has_names: bool) -> Denial:
    if not has_token:
        told = "show a client certificate with one of admin.tls.names"
        return Denial(403, "certificate_required", told)
    told = "send admin.token as Authorization: Bearer"
    if has_names:
        told += ", or show a client certificate with one of admin.tls.names"
    return Denial(401, TOKEN_REQUIRED, told)


class AdminAccess(NamedTuple):
    """Rules of access to the private listener, or to `admin.route`, by the config."""

    known_hosts: frozenset[str] = frozenset()
    """In lower case; of the route, the host of `server.public_url` with its port."""
    token: str = ""
    """Empty where there is none."""
    is_read_only: bool = False
    names: tuple[NamePattern, ...] = ()
    """Patterns of names in client certificates; see `gateway.authn.certificate`."""
    is_route: bool = False
    """Whether requests come through the gateway."""

    def denial(self, asked: AdminRequest, now_s: float) -> Denial | None:
        """Return why a request is denied, or None."""
        refused = self.foreign(asked.headers)
        if refused is not None:
            return Denial(403, "forbidden", refused)
        return verdict(
            self.way(asked),
            self.proof(asked, now_s),
            has_token=bool(self.token),
            has_names=bool(self.names),
            is_read_only=self.is_read_only,
            changes=asked.changes,
        )

    def foreign(self, headers: Mapping[str, str]) -> str | None:
        """Say why a foreign page may have made a request, or return None."""
        if self.is_route:  # the pipeline has chosen the route by Host
            return foreign_page(headers, self.known_hosts)
        return own_page_refusal(headers, self.known_hosts)

    def way(self, asked: AdminRequest) -> CameBy:
        """Return how a request has come."""
        if self.is_route:
            return CameBy.ROUTE
        is_local = _is_local(asked.peer) and not _is_forwarded(asked)
        return CameBy.LOCAL if is_local else CameBy.NETWORK

    def proof(self, asked: AdminRequest, now_s: float) -> Proof:
        """Return the best that a request proves."""
        if self.is_route:
            return Proof.NONE if _person(asked.headers) is None else Proof.PERSON
        if self._certified(asked, now_s):
            return Proof.CERTIFICATE
        if self.is_token(asked.bearer):
            return Proof.TOKEN
        return Proof.COOKIE if self._is_sealed(asked.cookie, now_s) else Proof.NONE

    def operator(self, asked: AdminRequest, now_s: float) -> Operator:
        """Return who makes a request that is not denied."""
        if self.is_route:
            return _person(asked.headers) or Operator()
        return Operator(self._certified(asked, now_s) or _ADMIN_API, asked.peer)

    def denied_operator(self, denial: Denial, asked: AdminRequest, now_s: float) -> Operator:
        """Return who makes a request that is denied: `unknown` where it proves nothing."""
        if denial == _READ_ONLY or self.proof(asked, now_s) is not Proof.NONE:
            return self.operator(asked, now_s)
        origin = asked.headers.get(INTERNAL_CLIENT, "") if self.is_route else asked.peer
        return Operator(_UNKNOWN, origin)

    def is_token(self, text: str) -> bool:
        """Compare ``text`` with the token, in constant time."""
        return bool(self.token) and hmac.compare_digest(_utf8(text), _utf8(self.token))

    def cookie(self, now_s: float) -> str:
        """Return the value of a cookie that stands for the token."""
        ends = str(int(now_s) + SIGNED_IN_S)
        return f"{ends}.{self._seal(ends)}"

    def _certified(self, asked: AdminRequest, now_s: float) -> str:
        """Return the issuer that a certificate stands for; empty for none."""
        if asked.certificate is None or not self.names:
            return ""
        return certified(asked.certificate, self.names, now_s)

    def _is_sealed(self, cookie: str, now_s: float) -> bool:
        found = _SEALED.fullmatch(cookie)
        if not self.token or found is None or int(found[1]) <= now_s:
            return False
        return hmac.compare_digest(found[2], self._seal(found[1]))

    def _seal(self, ends: str) -> str:
        said = f"gateway dashboard until {ends}".encode()
        return hmac.new(_utf8(self.token), said, hashlib.sha256).hexdigest()


def certified(certificate: Certificate, names: Sequence[NamePattern], now_s: float) -> str:
    """Return the issuer that ``certificate`` stands for by ``names``; empty for none."""
    identity = CertificateNames(names).identity(certificate, now_s)
    return "" if identity is None else identity.user.issuer


def own_page_refusal(headers: Mapping[str, str], known_hosts: frozenset[str]) -> str | None:
    """
    Why a request is refused that a foreign page may have made, or None.

    Pages of this listener may; ``Host`` is checked first, so that its origin is that of the page.
    """
    return host_refusal(headers, known_hosts) or foreign_page(headers)


def foreign_page(
    headers: Mapping[str, str], public_hosts: frozenset[str] = frozenset()
) -> str | None:
    """
    Say what shows that a page of another origin may have made a request, or return None.

    Another port is another origin, although it is the same site. Behind a proxy that rewrites
    ``Host``, pages are of ``public_hosts``.
    """
    own = {headers.get("Host", "").lower(), *public_hosts}
    if headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        return "a request with Sec-Fetch-Site comes from a page of another origin"
    for name in ("Origin", "Referer"):
        if name in headers and not _is_of(headers[name], own):
            return f"a request with {name} comes from a page of another origin"
    return None


def _person(headers: Mapping[str, str]) -> Operator | None:
    """Return the person that the pipeline has let pass; None where it names none."""
    try:
        user: dict[str, Any] = orjson.loads(unquote(headers[INTERNAL_IDENTITY]))["user"]
        return Operator(user["issuer"], headers.get(INTERNAL_CLIENT, ""), user["email"])
    except (KeyError, TypeError, ValueError):
        return None


def _is_of(url: str, hosts: Collection[str]) -> bool:
    found = _ORIGIN.fullmatch(url)
    return found is not None and bool(found[1]) and found[1].lower() in hosts


def _is_forwarded(asked: AdminRequest) -> bool:
    """
    Whether a proxy sent the request: its peer says nothing of who asked.

    By default nginx adds no field, and speaks HTTP/1.0, which browsers and commands do not.
    """
    if asked.version < _HTTP_1_1:
        return True
    return any(name.lower().startswith(_FORWARDED) for name in asked.headers)


def _is_local(peer: str) -> bool:
    if peer == UNIX:
        return True
    address = _address(peer)
    return address is not None and address.is_loopback


def _address(peer: str) -> Any:
    """Return the address of a peer, without the form of IPv4 in IPv6; None for what is none."""
    try:
        address = ip_address(peer)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
