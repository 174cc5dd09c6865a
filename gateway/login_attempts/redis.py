"""Nonces of attempts to sign in: kept in the store, used once."""

import re
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from hashlib import sha256
from typing import Final, NamedTuple

from gateway.core.errors import NonceRefused
from gateway.core.identity import User
from gateway.core.ports import Clock, Script, Store
from gateway.core.replies import is_text_or_nil
from gateway.login_attempts.contact import (
    ISSUER,
    Contact,
    ContactHasher,
    contacts_of,
    issuer_contact,
)

TAKE: Final = Script.packaged("gateway.login_attempts", "take", is_text_or_nil)
LIFETIME_S: Final = 900
"""Lifetime of a nonce: that of a link or code of Magic."""

_SECRET_BYTES: Final = 32
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_HASH_DIGITS: Final = 64


class BegunAttempt(NamedTuple):
    """The secrets that the browser gets."""

    nonce: str
    """Sent with the exchange; the DID token is bound to it."""
    browser: str
    """Secret of this browser, for its cookie."""


class RedisAttempts:
    """
    Nonces by hash; a record holds a hash of the browser's secret, a hash of the contact, and its
    kind.

    Reading the store reveals no nonce, no browser's secret and no address. A nonce issued for one
    address cannot be used with another address or in another browser (login CSRF).
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
        Issue a nonce for ``contact``; one secret serves all attempts of a browser.

        ``browser`` is the value of its cookie; a malformed value is replaced. Raises
        `StoreUnavailable`.
        """
        nonce = self._secret()
        browser = browser if _SECRET.fullmatch(browser) else self._secret()
        record = f"{_hash(browser)}{self._hasher.digest(contact).hex()}{contact.kind}".encode()
        ends_ms = int((self._clock() + LIFETIME_S) * 1000)
        await self._store.set(_key(nonce), record, expires_at_ms=ends_ms)
        return BegunAttempt(nonce, browser)

    async def take(self, nonce: str, browser: str, user: User) -> None:
        """
        Use up ``nonce``, which must have been issued to ``browser`` for a contact of ``user``.

        A user without a contact at Magic (some OAuth users) may use a nonce of any contact, but
        not one issued to another user who is signed in. Raises `NonceRefused` or
        `StoreUnavailable`.
        """
        if not _SECRET.fullmatch(nonce) or not _SECRET.fullmatch(browser):
            raise NonceRefused("malformed nonce or browser secret")
        record = await self._store.run(TAKE, [_key(nonce)], [_hash(browser)])
        if not isinstance(record, bytes):
            raise NonceRefused("used, expired, unknown, or issued to another browser")
        contact, kind = _contact_of(record)
        own = [*contacts_of(user), issuer_contact(user)]
        may_use_any = len(own) == 1 and kind != ISSUER.encode()
        if not may_use_any and not self._hasher.is_one_of(contact, own):
            raise NonceRefused("issued for another contact")

    def _secret(self) -> str:
        return urlsafe_b64encode(self._token_bytes(_SECRET_BYTES)).rstrip(b"=").decode()


def _contact_of(record: bytes) -> tuple[bytes, bytes]:
    """Return the hash of the contact, and its kind. Raises `NonceRefused` where it has none."""
    try:
        digest = bytes.fromhex(record[_HASH_DIGITS : 2 * _HASH_DIGITS].decode("ascii"))
    except ValueError:
        raise NonceRefused("unreadable record") from None
    return digest, record[2 * _HASH_DIGITS :]


def _hash(secret: str) -> str:
    """Return the hash as text: scripts compare it, and a REST API takes no other bytes."""
    return sha256(secret.encode()).hexdigest()


def _key(nonce: str) -> str:
    return f"login-nonce:{_hash(nonce)}"
