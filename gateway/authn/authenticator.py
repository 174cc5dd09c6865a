"""
Authentication: the stage that turns the credentials of a request into an identity.

A credential of each kind proves an identity, is refused, or is absent. The gateway checks all that
a request carries, because picking one of two could pick the attacker's:

- A bearer token or an API key is sent on purpose. It must be valid and of a kind that the route
  accepts; otherwise the request is refused, whatever other credentials it carries.
- A session cookie is sent by the browser itself. One whose session has ended counts as absent.
- The same holds for a token in an ambient source, a cookie or field that browsers send by
  themselves.
- The same holds for the client certificate of the connection. It counts where the config lists its
  name and the route accepts certificates. One whose name was revoked counts as absent.
- All valid credentials must name the same user or program. The one that was sent on purpose
  applies.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from gateway.authn.credentials import AmbientSource, CredentialReader, Credentials
from gateway.authn.failure_limit import FailureLimit
from gateway.core.errors import (
    ConflictingCredentials,
    CredentialNotAccepted,
    ExpiredApiKey,
    InvalidApiKey,
    InvalidToken,
    Refusal,
    RevokedApiKey,
    RevokedCertificate,
    SessionEnded,
    Unauthenticated,
)
from gateway.core.identity import AuthMethod, Identity
from gateway.core.ports import TokenVerifier
from gateway.core.reasons import UnauthenticatedReason
from gateway.core.request import Certificate, Client, RequestHead
from gateway.core.route import Auth, Route
from gateway.telemetry.counters import CountEvent
from gateway.telemetry.metrics import AUTHENTICATIONS

_NO_AUTH, _AUTH_REQUIRED = Auth.NONE, Auth.REQUIRED
_NO_CREDENTIAL = UnauthenticatedReason.NO_CREDENTIAL
_SESSION, _CERTIFICATE = AuthMethod.SESSION, AuthMethod.CLIENT_CERTIFICATE

CertificateVerifier = Callable[[Certificate], Awaitable[Identity | None]]
"""
Returns the identity that a certificate names now; None where its name is not listed.

Raises `RevokedCertificate`, or `StoreUnavailable` where it is unknown whether it was revoked.
"""


class SessionLookup(Protocol):
    """Looks sessions up; see `gateway.core.ports.Sessions`."""

    async def find(self, cookie: str) -> Identity:
        """Look a session up. Raises `SessionEnded`, `RevokedSession` or `StoreUnavailable`."""


REFUSED = (InvalidToken, InvalidApiKey, ExpiredApiKey, RevokedApiKey)
"""Refusals that are counted. `gateway.authn.failure_limit` says which the client is charged for."""

_COUNTS_AS_ABSENT = (SessionEnded, *REFUSED)
"""Refusals of a credential that browsers send by themselves: they go on sending it."""

_NO_SOURCES: Mapping[AmbientSource, TokenVerifier] = {}


class Authenticator:
    """Verifies the credentials of a request, one kind after the other."""

    def __init__(
        self,
        reader: CredentialReader,
        sessions: SessionLookup,
        verifiers: Mapping[AuthMethod, TokenVerifier],
        failures: FailureLimit,
        verify_certificate: CertificateVerifier | None = None,
        count: CountEvent = lambda _metric, _label: None,
        ambient: Mapping[AmbientSource, TokenVerifier] = _NO_SOURCES,
    ) -> None:
        """Take a verifier for each kind and ambient source that ``reader`` finds, but sessions."""
        self._reader = reader
        self._sessions = sessions
        self._verifiers = verifiers
        self._failures = failures
        self._verify_certificate = verify_certificate
        self._count = count
        self._ambient = ambient

    def read_now(self, head: RequestHead, route: Route) -> Credentials | None:
        """
        Return the credentials of a request, where ``route`` looks at them; see `identify`.

        None for a malformed one, which `identify` refuses. Raises `AmbiguousCredentials`.
        """
        if route.auth is _NO_AUTH:
            return ()
        try:
            return self._reader.read_cached(head)
        except InvalidToken:
            return None

    def refusal_without(self, route: Route, client: Client) -> Refusal | None:
        """Return what refuses a request without credentials; None where `identify` decides."""
        if route.auth is not _AUTH_REQUIRED or client.certificate is not None:
            return None
        return Unauthenticated(_NO_CREDENTIAL)

    async def identify(
        self, head: RequestHead, route: Route, client: Client, sent: Credentials | None = None
    ) -> Identity | None:
        """
        Authenticate a request; return None for an anonymous one, where ``route`` allows that.

        ``sent`` is what `read_now` has returned. Raises the `Refusal` of the first credential that
        is refused, `ConflictingCredentials`, or `Unauthenticated` without a credential.
        """
        if route.auth is _NO_AUTH:
            return None
        verified: Identity | None = None
        ended: Refusal | None = None
        for method, text, source in sent if sent is not None else await self._read(head, client):
            if source is None and method is not _SESSION:
                found = await self._verify(method, text, route, client)
            elif method not in route.accept or (route.is_sign_in and verified is not None):
                continue
            else:
                try:
                    if source is None:
                        found = await self._sessions.find(text)
                    else:
                        found = await self._verify_ambient(source, text, client)
                except _COUNTS_AS_ABSENT as error:
                    self._refused(method)
                    ended = ended or error
                    continue
            verified = require_same_identity(verified, found)
        if self._verify_certificate is not None:
            verified, ended = await self._add_certificate(
                verified, ended, self._verify_certificate, route, client
            )
        if verified is None and route.auth is _AUTH_REQUIRED:
            raise ended or Unauthenticated(_NO_CREDENTIAL)
        return verified

    async def _read(self, head: RequestHead, client: Client) -> Credentials:
        """Read the credentials, and charge the client for a malformed one."""
        try:
            return self._reader.read_cached(head)
        except InvalidToken as refusal:
            await self._failures.charge(client, refusal)
            raise

    async def _add_certificate(
        self,
        verified: Identity | None,
        ended: Refusal | None,
        verify_certificate: CertificateVerifier,
        route: Route,
        client: Client,
    ) -> tuple[Identity | None, Refusal | None]:
        """
        Add the identity of the client's certificate, or the refusal of one whose name was revoked.

        The certificate of a proxy in front does not count.
        """
        certificate = client.certificate
        if certificate is None or _CERTIFICATE not in route.accept:
            return verified, ended
        try:
            found = await verify_certificate(certificate)
        except RevokedCertificate as refusal:
            self._refused(_CERTIFICATE)
            return verified, ended or refusal
        return verified if found is None else require_same_identity(verified, found), ended

    async def _verify(
        self, method: AuthMethod, text: str, route: Route, client: Client
    ) -> Identity:
        """Verify a bearer token or an API key, unless the client has failed too often."""
        if method not in route.accept:
            raise CredentialNotAccepted(method)
        verifier = self._verifiers[method]
        if self._failures.blocked_until.peek(client.limit_key) and not verifier.knows(text):
            self._failures.refuse_if_blocked(client)
        try:
            return await verifier.verify(text)
        except REFUSED as refusal:
            self._refused(method)
            await self._failures.charge(client, refusal)
            raise

    async def _verify_ambient(self, source: AmbientSource, text: str, client: Client) -> Identity:
        """
        Verify a token that browsers send by themselves, unless the client has failed too often.

        Only a forged one is charged. Browsers repeat one that expired, or that is another app's
        cookie of the same name; to read that costs no more than to count it.
        """
        verifier = self._ambient[source]
        if self._failures.blocked_until.peek(client.limit_key) and not verifier.knows(text):
            self._failures.refuse_if_blocked(client)
        try:
            return await verifier.verify(text)
        except InvalidToken as refusal:
            if refusal.is_forged:
                await self._failures.charge(client, refusal)
            raise

    def _refused(self, method: AuthMethod) -> None:
        self._count(AUTHENTICATIONS, f"{method},refused")


def require_same_identity(verified: Identity | None, found: Identity) -> Identity:
    """Return the first of two identities. Raises `ConflictingCredentials` where they differ."""
    if verified is None:
        return found
    if verified.user.issuer != found.user.issuer:
        raise ConflictingCredentials(f"{verified.method} and {found.method}")
    return verified
