"""
Who is asking? The stage of the journey that turns credentials into an identity.

Each kind of credential has three outcomes: it proves somebody, it is refused, or it is not there
and the next kind is asked. All that a request carries is looked at, because whoever picks one of
two picks for an attacker:

- What somebody has put into the request (a bearer token, an API key) must be good, and of a kind
  that the route takes; else it is refused as what it is, whatever stands beside it.
- A cookie is sent by browsers on their own: one that is dead means nobody.
- Those that are good must name one person or program. The one that was sent on purpose applies.
"""

from collections.abc import Mapping

from gateway.errors import (
    ConflictingCredentials,
    CredentialNotAccepted,
    InvalidApiKey,
    InvalidToken,
    SessionEnded,
    Unauthenticated,
)
from gateway.failures import Failures
from gateway.identity.credentials import CredentialReader
from gateway.messages import Auth, AuthMethod, Caller, Identity, RequestHead, Route
from gateway.ports import Sessions, TokenVerifier
from gateway.reasons import Nobody

_SESSION = AuthMethod.SESSION
REFUSED = (InvalidToken, InvalidApiKey)
"""What is charged to the client: a credential that proves nobody."""


class Authentication:
    """Asks the kinds of credentials in turn."""

    def __init__(
        self,
        reader: CredentialReader,
        sessions: Sessions,
        verifiers: Mapping[AuthMethod, TokenVerifier],
        failures: Failures,
    ) -> None:
        """``verifiers`` has one for each kind that ``reader`` finds, but for sessions."""
        self._reader = reader
        self._sessions = sessions
        self._verifiers = verifiers
        self._failures = failures

    async def prove(self, head: RequestHead, route: Route, client: Caller) -> Identity | None:
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
                    ended = error
                    continue
            if proven is None:
                proven = found
            elif proven.user.issuer != found.user.issuer:
                raise ConflictingCredentials(f"{proven.method} and {found.method}")
        if proven is None and route.auth is Auth.REQUIRED:
            raise ended or Unauthenticated(Nobody.NO_CREDENTIAL)
        return proven

    async def _verify(
        self, method: AuthMethod, text: str, route: Route, client: Caller
    ) -> Identity:
        """Whom a credential proves that somebody has put into the request."""
        if method not in route.accept:
            raise CredentialNotAccepted(method)
        verifier = self._verifiers[method]
        if self._failures.shut and not verifier.knows(text):
            self._failures.gate(client)
        try:
            return await verifier.verify(text)
        except REFUSED as refusal:
            await self._failures.charge(client, refusal)
            raise
