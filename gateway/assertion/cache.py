"""What is signed for whom: the last stage of the journey, where the config asks for it."""

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
_RENEWED_AFTER = 2 / 3
"""Of its life: an app gets none that is about to end."""


class _SignedAssertion(NamedTuple):
    line: bytes
    from_s: float
    until_s: float


class AssertionCache:
    """
    The field line with the assertion, for each request of somebody who is proven.

    One about an identity is signed anew after two thirds of its life; one that is bound to a
    request is signed for each.
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
        """``audiences`` are the names of apps, by that of their upstream."""
        self.header = header
        self._beginning = f"{header}: ".encode("ascii")
        self._signer = AssertionSigner(key)
        self._issuer = issuer
        self._audiences = audiences
        self._public_host = public_host
        self._lifetime_s = lifetime_s
        self._binds_requests = binds_requests
        self._clock = clock
        self._token_id = token_id
        self._by_object: ByIdentity[_SignedAssertion] = ByIdentity(_MAX_CACHED)
        """By identity and audience, both as objects: names of audiences live as long as routes."""
        self._by_value: LruCache[tuple[Identity, str], _SignedAssertion] = LruCache(_MAX_CACHED)
        """A session that is looked up again comes as another object."""

    def line(self, identity: Identity, route: Route, head: RequestHead, target: Target) -> bytes:
        """The line, with its CRLF; the gateway's own pages get none."""
        if route.is_internal:
            return b""
        # A route without an upstream is for checks of a proxy in front: it is its app's name.
        audience = self._audiences.get(route.upstream, route.upstream or route.name)
        now_s = self._clock()
        if self._binds_requests:
            host = head.headers.get("Host") or self._public_host
            query = target.wire[len(target.path) + 1 :]
            asked = AssertedRequest(head.method, host, target.path, query)
            said = self._claims(identity, audience, now_s) | binding(asked, self._token_id())
            return self._signed_line(said)
        signed = self._by_object.get((id(identity), id(audience)))
        if signed is None or not signed.from_s <= now_s < signed.until_s:
            signed = self._renew(identity, audience, now_s)
        return signed.line

    def _renew(self, identity: Identity, audience: str, now_s: float) -> _SignedAssertion:
        known = self._by_value.get((identity, audience))
        if known is None or not known.from_s <= now_s < known.until_s:
            said = self._claims(identity, audience, now_s)
            left_s = min(self._lifetime_s, identity.expires_at_ms / 1000 - now_s)
            until_s = now_s + left_s * _RENEWED_AFTER
            known = _SignedAssertion(self._signed_line(said), now_s, until_s)
            self._by_value.put((identity, audience), known)
        return self._by_object.keep(known, identity, audience)

    def _claims(self, identity: Identity, audience: str, now_s: float) -> dict[str, object]:
        return claims(
            identity,
            issuer=self._issuer,
            audience=audience,
            now_s=now_s,
            lifetime_s=self._lifetime_s,
        )

    def _signed_line(self, said: Mapping[str, object]) -> bytes:
        return self._beginning + self._signer.sign(said) + b"\r\n"
