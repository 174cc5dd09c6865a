"""Nonces of attempts to sign in, kept in the store until they are used, once."""

import re
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from hashlib import sha256
from importlib.resources import files
from typing import Final, NamedTuple

from gateway.core.errors import NonceRefused
from gateway.core.identity import User
from gateway.core.ports import Clock, Script, Store
from gateway.login_attempts.contact import (
    ISSUER,
    Contact,
    ContactHasher,
    itself,
    known,
)

TAKE: Final = Script(
    "take", files("gateway.login_attempts").joinpath("take.lua").read_text("utf-8")
)
LIFETIME_S: Final = 900
"""For which a nonce is good: as long as a link or code of Magic's."""

_SECRET_BYTES: Final = 32
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_HASH_BYTES: Final = 32


class BegunAttempt(NamedTuple):
    """What the browser is given."""

    nonce: str
    """For the exchange, and to be signed by Magic's user."""
    browser: str
    """A secret of this browser's own, for its cookie."""


class RedisAttempts:
    """
    Nonces by their hashes; a record is a hash of the browser's secret, one of the contact, and of
    which kind that is.

    Who reads the store learns no nonce, no browser's secret and no address; who asked for one
    address cannot sign in with another, and a nonce is of no use in another browser.
    """

    def __init__(
        self,
        store: Store,
        hasher: ContactHasher,
        clock: Clock = time.time,
        token_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._store = store
        self._hasher = hasher
        self._clock = clock
        self._token_bytes = token_bytes

    async def begin(self, contact: Contact, browser: str) -> BegunAttempt:
        """
        A new nonce for ``contact``; one secret serves all attempts of a browser.

        ``browser`` is what its cookie says; what no gateway has made is replaced. Raises
        `StoreUnavailable`.
        """
        nonce = self._secret()
        browser = browser if _SECRET.fullmatch(browser) else self._secret()
        record = _hash(browser) + self._hasher.digest(contact) + contact.kind.encode()
        ends_ms = int((self._clock() + LIFETIME_S) * 1000)
        await self._store.set(_key(nonce), record, expires_at_ms=ends_ms)
        return BegunAttempt(nonce, browser)

    async def take(self, nonce: str, browser: str, user: User) -> None:
        """
        Use up ``nonce``, which must have been given to ``browser`` for an address of ``user``.

        Whoever has no address at Magic (some OAuth users) may have come by any, but not in the name
        of somebody else who is signed in here. Raises `NonceRefused` or `StoreUnavailable`.
        """
        if not _SECRET.fullmatch(nonce) or not _SECRET.fullmatch(browser):
            raise NonceRefused("not of ours")
        record = await self._store.run(TAKE, [_key(nonce)], [_hash(browser)])
        if not isinstance(record, bytes):
            raise NonceRefused("used, expired, unknown, or given to another browser")
        contact, kind = record[_HASH_BYTES : 2 * _HASH_BYTES], record[2 * _HASH_BYTES :]
        own = [*known(user), itself(user)]
        is_anybodys = len(own) == 1 and kind != ISSUER.encode()
        if not is_anybodys and not self._hasher.is_one_of(contact, own):
            raise NonceRefused("given for another address")

    def _secret(self) -> str:
        return urlsafe_b64encode(self._token_bytes(_SECRET_BYTES)).rstrip(b"=").decode()


def _hash(secret: str) -> bytes:
    return sha256(secret.encode()).digest()


def _key(nonce: str) -> str:
    return f"login-nonce:{_hash(nonce).hex()}"
