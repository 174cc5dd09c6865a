"""
Who is asking? The stage of the journey that turns credentials into an identity.

Each kind of credential has three outcomes: it proves somebody, it is refused, or it is not there
and the next kind is asked. All that a request carries is looked at, because whoever picks one of
two picks for an attacker:

- What somebody has put into the request (a bearer token, an API key) must be good, and of a kind
  that the route takes; else it is refused as what it is, whatever stands beside it.
- A cookie is sent by browsers on their own: one that is dead means nobody. So is a certificate of
  the connection, which counts where the config knows its name and the route takes such.
- Those that are good must name one person or program. The one that was sent on purpose applies.
"""

from collections.abc import Callable, Mapping

from gateway.authn.credentials import CredentialReader
from gateway.authn.failure_limit import FailureLimit
from gateway.core.errors import (
    ConflictingCredentials,
    CredentialNotAccepted,
    ExpiredApiKey,
    InvalidApiKey,
    InvalidToken,
    RevokedApiKey,
    SessionEnded,
    Unauthenticated,
)
from gateway.core.identity import AuthMethod, Identity
from gateway.core.ports import Sessions, TokenVerifier
from gateway.core.reasons import UnauthenticatedReason
from gateway.core.request import Certificate, Client, RequestHead
from gateway.core.route import Auth, Route
from gateway.telemetry.counters import CountEvent
from gateway.telemetry.metrics import AUTHENTICATIONS

_SESSION, _CERTIFICATE = AuthMethod.SESSION, AuthMethod.CLIENT_CERTIFICATE

CertificateVerifier = Callable[[Certificate], Identity | None]
"""Whom a certificate names now; None where that counts for nothing."""

REFUSED = (InvalidToken, InvalidApiKey, ExpiredApiKey, RevokedApiKey)
"""What is counted; what of it is charged to the client says `gateway.authn.failure_limit`."""


class Authenticator:
    """Asks the kinds of credentials in turn."""

    def __init__(
        self,
        reader: CredentialReader,
        sessions: Sessions,
        verifiers: Mapping[AuthMethod, TokenVerifier],
        failures: FailureLimit,
        certified: CertificateVerifier | None = None,
        count: CountEvent = lambda _metric, _label: None,
    ) -> None:
        """``verifiers`` has one for each kind that ``reader`` finds, but for sessions."""
        self._reader = reader
        self._sessions = sessions
        self._verifiers = verifiers
        self._failures = failures
        self._certified = certified
        self._count = count

    async def identify(self, head: RequestHead, route: Route, client: Client) -> Identity | None:
        """
        Who is asking; None where nobody need be.

        Raises the `Refusal` that a credential met with, or `Unauthenticated` without one.
        """
        if route.auth is Auth.NONE:
            return None
        proven: Identity | None = None
        ended: SessionEnded | None = None
        try:
            sent = self._reader.remembered(head)
        except InvalidToken as refusal:
            await self._failures.charge(client, refusal)
            raise
        for method, text in sent:
            if method is not _SESSION:
                found = await self._verify(method, text, route, client)
            elif _SESSION not in route.accept or (route.is_sign_in and proven is not None):
                continue
            else:
                try:
                    found = await self._sessions.find(text)
                except SessionEnded as error:
                    self._refused(method)
                    ended = error
                    continue
            proven = require_same_identity(proven, found)
        if self._certified is not None:
            proven = self._with_certificate(proven, self._certified, route, client)
        if proven is None and route.auth is Auth.REQUIRED:
            raise ended or Unauthenticated(UnauthenticatedReason.NO_CREDENTIAL)
        return proven

    def _with_certificate(
        self,
        proven: Identity | None,
        certified: CertificateVerifier,
        route: Route,
        client: Client,
    ) -> Identity | None:
        """Also by what the client itself has shown, not a proxy that hands on its requests."""
        shown = client.certificate
        if shown is None or _CERTIFICATE not in route.accept:
            return proven
        found = certified(shown)
        return proven if found is None else require_same_identity(proven, found)

    async def _verify(
        self, method: AuthMethod, text: str, route: Route, client: Client
    ) -> Identity:
        """Whom a credential proves that somebody has put into the request."""
        if method not in route.accept:
            raise CredentialNotAccepted(method)
        verifier = self._verifiers[method]
        if self._failures.blocked_until and not verifier.knows(text):
            self._failures.refuse_if_blocked(client)
        try:
            return await verifier.verify(text)
        except REFUSED as refusal:
            self._refused(method)
            await self._failures.charge(client, refusal)
            raise

    def _refused(self, method: AuthMethod) -> None:
        self._count(AUTHENTICATIONS, f"{method},refused")


def require_same_identity(proven: Identity | None, found: Identity) -> Identity:
    """The first of two proofs, which must be of one person or program."""
    if proven is None:
        return found
    if proven.user.issuer != found.user.issuer:
        raise ConflictingCredentials(f"{proven.method} and {found.method}")
    return proven
