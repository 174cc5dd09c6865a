"""Authentication with a tracing recorder: the verdict on each credential, by its fingerprint."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from gateway.authn.authenticator import Authenticator, SessionLookup
from gateway.authn.credentials import Credential, Credentials
from gateway.authn.failure_limit import FailureLimit
from gateway.core.errors import Refusal
from gateway.core.identity import AuthMethod, Identity
from gateway.core.ports import TokenVerifier
from gateway.core.request import Client, RequestHead
from gateway.core.route import Auth, Route
from gateway.explain.fingerprint import fingerprint
from gateway.explain.trace import Details, Trace, code_and_reason

ASSUMED: Final = "assumed"
"""Stands for the credential of an identity that an operator named; no client can send it."""


@dataclass(slots=True)
class CredentialVerdicts:
    """What verifiers said of the credentials of one request."""

    assumed: Identity | None = None
    """The identity that an operator named in place of a credential."""
    _by_text: dict[str, Details] = field(default_factory=dict)

    async def judged(self, text: str, verify: Callable[[], Awaitable[Identity]]) -> Identity:
        """Return what ``verify`` returns, or raises, and take it down."""
        if text == ASSUMED and self.assumed is not None:
            identity = self.assumed
        else:
            try:
                identity = await verify()
            except Refusal as refusal:
                self._by_text[text] = {"verdict": "refused", **code_and_reason(refusal)}
                raise
        self._by_text[text] = {"verdict": "valid", "issuer": identity.user.issuer}
        return identity

    def of(self, credential: Credential, route: Route) -> Details:
        """Describe a credential, without its text."""
        told: Details = {"kind": str(credential.method)}
        if credential.text == ASSUMED:
            told["assumed"] = True
        else:
            told["fingerprint"] = fingerprint(credential.text)
        if credential.source is not None:
            told["source"] = credential.source.name
        verdict = self._by_text.get(credential.text)
        if verdict is None:
            is_accepted = credential.method in route.accept
            why = "not looked at" if is_accepted else "the route does not accept this kind"
            verdict = {"verdict": "not_checked", "why": why}
        return told | verdict


class TracedVerifier:
    """The port `TokenVerifier` in front of another one."""

    def __init__(self, inner: TokenVerifier, verdicts: CredentialVerdicts) -> None:
        self._inner = inner
        self._verdicts = verdicts

    async def verify(self, token: str) -> Identity:
        return await self._verdicts.judged(token, lambda: self._inner.verify(token))

    def knows(self, token: str) -> bool:
        return token == ASSUMED or self._inner.knows(token)


class TracedSessions:
    """Looks sessions up in another place, and takes down what it says."""

    def __init__(self, inner: SessionLookup, verdicts: CredentialVerdicts) -> None:
        self._inner = inner
        self._verdicts = verdicts

    async def find(self, cookie: str) -> Identity:
        return await self._verdicts.judged(cookie, lambda: self._inner.find(cookie))


class TracedAuthenticator(Authenticator):
    """The stage in front of the real one, which decides."""

    def __init__(
        self,
        inner: Authenticator,
        trace: Trace,
        verdicts: CredentialVerdicts,
        note_block: Callable[[Client], Awaitable[None]],
    ) -> None:
        """``note_block`` finds out whether the client's failures have used up their limit."""
        self._inner = inner
        self._trace = trace
        self._verdicts = verdicts
        self._note_block = note_block

    def read_now(self, head: RequestHead, route: Route) -> Credentials | None:
        try:
            return self._read_all(head, route)
        except Refusal as refusal:
            self._trace.refused("credentials", refusal, auth=route.auth.value, credentials=[])
            raise

    def refusal_without(self, route: Route, client: Client) -> Refusal | None:
        refusal = self._inner.refusal_without(route, client)
        if refusal is not None:
            self._trace.refused("credentials", refusal, auth=route.auth.value, credentials=[])
        return refusal

    async def identify(
        self, head: RequestHead, route: Route, client: Client, sent: Credentials | None = None
    ) -> Identity | None:
        with self._trace.stage("credentials") as details:
            details |= {"auth": route.auth.value, "credentials": []}
            if sent is None:
                sent = self._read_all(head, route)
            if sent:
                await self._note_block(client)
            try:
                identity = await self._inner.identify(head, route, client, sent)
            finally:
                details["credentials"] = [self._verdicts.of(each, route) for each in sent or ()]
            if identity is not None:
                details["identity"] = {
                    "issuer": identity.user.issuer,
                    "email": identity.user.email,
                    "by": str(identity.method),
                }
            return identity

    def _read_all(self, head: RequestHead, route: Route) -> Credentials | None:
        """Read the credentials that were sent, and add the one that an operator named."""
        sent = self._inner.read_now(head, route)
        assumed = self._verdicts.assumed
        if sent is None or assumed is None or route.auth is Auth.NONE:
            return sent
        return (*sent, Credential(self._kind_of(assumed, route), ASSUMED))

    def _kind_of(self, assumed: Identity, route: Route) -> AuthMethod:
        """Return the kind of credential that the identity is taken to have sent."""
        is_person = assumed.method is AuthMethod.SESSION
        if is_person and AuthMethod.SESSION not in route.accept:
            return AuthMethod.DID_TOKEN
        return assumed.method


async def note_block(failures: FailureLimit, client: Client) -> None:
    """Block ``client`` where its failures have used up their limit, as it was told before."""
    limit = failures.limit
    if limit.is_shadow or not failures.lists.counted((limit,), client.address):
        return
    state = await failures.limiter.spend(limit, client.limit_key)
    if not state.allowed:
        until_s = failures.clock() + state.retry_after_s
        failures.blocked_until.put(client.limit_key, (until_s, state))


_: tuple[type[TokenVerifier], type[SessionLookup]] = TracedVerifier, TracedSessions
