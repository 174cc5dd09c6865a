"""
Who is asking? The stage of the journey that turns a credential into an identity.

Each kind of credential has three outcomes: it proves somebody, it is refused, or it is not there
and the next kind is asked.
"""

from dataclasses import dataclass
from typing import assert_never

from gateway.errors import SessionEnded, Unauthenticated
from gateway.identity.credentials import DidToken, SessionCookie, remembered_credential
from gateway.messages import Auth, Identity, RequestHead, Route
from gateway.ports import Sessions, TokenVerifier


@dataclass(frozen=True, slots=True)
class Authentication:
    """Asks the kinds of credentials in turn; holds no state of its own."""

    tokens: TokenVerifier
    sessions: Sessions
    cookie_name: str

    async def prove(self, head: RequestHead, route: Route) -> Identity | None:
        """
        Who is asking; None where nobody need be.

        Raises the `Refusal` that the credential met with, or `Unauthenticated` without one.
        """
        if route.auth is Auth.NONE:
            return None
        try:
            match remembered_credential(head, self.cookie_name):
                case None:
                    pass
                case DidToken(text=token):
                    return await self.tokens.verify(token)
                case SessionCookie(value=cookie):
                    return await self.sessions.find(cookie)
                case never:
                    assert_never(never)
        except SessionEnded:
            # A browser keeps sending a dead cookie: where signing in is optional, it means nobody.
            if route.auth is Auth.REQUIRED:
                raise
            return None
        if route.auth is Auth.REQUIRED:
            raise Unauthenticated("no credential")
        return None
