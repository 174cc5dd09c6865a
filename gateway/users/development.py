"""Development mode: made-up users with real tokens, without network."""

import hmac
from typing import Final

from gateway.authn.did_token.mint import TokenSigner, mint, signer
from gateway.core.identity import User
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

    def _signer(self, email: str) -> TokenSigner:
        key = hmac.digest(self._seed, b"gateway: development key\0" + email.encode(), "sha256")
        return signer(key)


_: type[MetadataSource] = DevelopmentMagic
