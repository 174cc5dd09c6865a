"""Signed assertions and their cache: the last stage of the journey, where the config has it."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from gateway.assertion.token import (
    AssertedRequest,
    AssertionSigner,
    SigningKey,
    binding,
    claims,
)
from gateway.core.identity import Identity
from gateway.core.ports import Clock
from gateway.core.request import RequestHead, Target
from gateway.core.route import Route
from gateway.util.by_identity import ByIdentity
from gateway.util.lru import LruCache

_MAX_CACHED = 4096
_MAX_PAIRS = 4 * _MAX_CACHED
"""Of identities and routes: several routes lead to one audience, and share its assertions."""
_RENEWED_AFTER = 2 / 3
"""Of its life: an app gets no assertion that is about to expire."""


class _SignedAssertion(NamedTuple):
    line: bytes
    from_s: float
    until_s: float


class AssertionCache:
    """
    Signs the field line with the assertion for each authenticated request.

    An assertion about an identity is signed anew after two thirds of its life; one that is bound to
    a request is signed for each request.
    """

    def __init__(
        self,
        header: str,
        key: SigningKey,
        issuer: str,
        audiences: Mapping[str, str],
        *,
        public_host: str,
        lifetime_s: float,
        binds_requests: bool,
        clock: Clock,
        token_id: Callable[[], str],
    ) -> None:
        """Take the names of apps, by that of their upstream, in ``audiences``."""
        self.header = header
        self._prefix = f"{header}: ".encode("ascii")
        self._signer = AssertionSigner(key)
        self._issuer = issuer
        self._audiences = audiences
        self._public_host = public_host
        self._lifetime_s = lifetime_s
        self._binds_requests = binds_requests
        self._clock = clock
        self._token_id = token_id
        self._by_object: ByIdentity[_SignedAssertion] = ByIdentity(_MAX_PAIRS)
        """By identity and route."""
        self._by_value: LruCache[tuple[Identity, str], _SignedAssertion] = LruCache(_MAX_CACHED)
        """By identity and audience: a session that is looked up again is another object."""

    def line(self, identity: Identity, route: Route, head: RequestHead, target: Target) -> bytes:
        """Return the line, with its CRLF; it is empty for the gateway's own pages."""
        if route.is_internal:
            return b""
        now_s = self._clock()
        if self._binds_requests:
            audience = self._audience(route)
            host = head.headers.get("Host") or self._public_host
            query = target.wire[len(target.path) + 1 :]
            request = AssertedRequest(head.method, host, target.path, query)
            claimed = self._claims(identity, audience, now_s) | binding(request, self._token_id())
            return self._signed_line(claimed)
        signed = self._by_object.get((id(identity), id(route)))
        if signed is None or not signed.from_s <= now_s < signed.until_s:
            signed = self._renew(identity, route, now_s)
        return signed.line

    def _audience(self, route: Route) -> str:
        """Name the app of ``route``; by the route where it has no upstream (forward-auth)."""
        return self._audiences.get(route.upstream, route.upstream or route.name)

    def _renew(self, identity: Identity, route: Route, now_s: float) -> _SignedAssertion:
        audience = self._audience(route)
        known = self._by_value.get((identity, audience))
        if known is None or not known.from_s <= now_s < known.until_s:
            claimed = self._claims(identity, audience, now_s)
            left_s = min(self._lifetime_s, identity.expires_at_ms / 1000 - now_s)
            until_s = now_s + left_s * _RENEWED_AFTER
            known = _SignedAssertion(self._signed_line(claimed), now_s, until_s)
            self._by_value.put((identity, audience), known)
        return self._by_object.keep(known, identity, route)

    def _claims(self, identity: Identity, audience: str, now_s: float) -> dict[str, object]:
        return claims(
            identity,
            issuer=self._issuer,
            audience=audience,
            now_s=now_s,
            lifetime_s=self._lifetime_s,
        )

    def _signed_line(self, claimed: Mapping[str, object]) -> bytes:
        return self._prefix + self._signer.sign(claimed) + b"\r\n"
