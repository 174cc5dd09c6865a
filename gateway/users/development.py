"""Development mode: made-up users with real tokens, without network."""

import hmac
from typing import Final

from gateway.authn.did_token.mint import TokenSigner, mint, signer
from gateway.core.email import canonical_email
from gateway.core.identity import User
from gateway.users.by_email import EmailSource
from gateway.users.directory import MetadataSource
from gateway.util.lru import LruCache

_MAX_USERS: Final = 10_000

DEVELOPMENT_AUDIENCE: Final = "did:magic:development"


class DevelopmentMagic:
    """
    Stands in for Magic: mints tokens, and knows the users that it minted for.

    The same ``seed`` and email give the same issuer, in every run and process. But only this object
    knows the users that it minted for.
    """

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._users: LruCache[str, User] = LruCache(_MAX_USERS)

    def mint(self, email: str, lifetime_s: float, now_s: float, attachment: str = "none") -> str:
        """Mint a DID token for ``email``, which becomes a user; see `mint` for the rest."""
        user = self.user_with(email)
        self._users.put(user.issuer, user)
        return mint(self._signer(email), DEVELOPMENT_AUDIENCE, now_s, lifetime_s, attachment)

    def user_with(self, email: str) -> User:
        """Return the user of ``email``, whether or not it is known."""
        by = self._signer(email)
        return User(by.issuer, email=email, public_address=by.address)

    async def user(self, issuer: str) -> User | None:
        return self._users.get(issuer)

    async def issuers(self, email: str) -> tuple[str, ...]:
        users = [user for _, user in self._users.items()]
        return tuple(user.issuer for user in users if _has_email(user, email))

    def _signer(self, email: str) -> TokenSigner:
        key = hmac.digest(self._seed, b"gateway: development key\0" + email.encode(), "sha256")
        return signer(key)


def _has_email(user: User, email: str) -> bool:
    """Whether the email of ``user`` is ``email`` in its canonical spelling."""
    try:
        return canonical_email(user.email or "") == email
    except ValueError:
        return False


_: type[MetadataSource] = DevelopmentMagic
__: type[EmailSource] = DevelopmentMagic
