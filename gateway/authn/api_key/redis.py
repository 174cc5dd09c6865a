"""Records of API keys in the store: commands create and revoke keys, gateways look them up."""

import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import cast

from gateway.authn.api_key.key import (
    ID_BYTES,
    SECRET_BYTES,
    ApiKey,
    KeySealer,
    format_key,
    hash_of,
)
from gateway.core.errors import StoreUnavailable
from gateway.core.limit import Limit
from gateway.core.ports import Clock, Script, Store
from gateway.core.replies import is_count, is_texts
from gateway.store.armour import armour

INDEX = Script.packaged("gateway.authn.api_key", "api_keys", is_texts)
SWAP = Script.packaged("gateway.authn.api_key", "swap", is_count)

KEPT_BEYOND_S = 30 * 86_400
"""How long a record outlives its key, so that clients are told that the key has expired."""


class RedisApiKeys:
    """Stores the records at ``api-key:{id}``, and their ids in the set ``api-keys``."""

    def __init__(self, store: Store, sealer: KeySealer, clock: Clock = time.time) -> None:
        self._store = store
        self._sealer = sealer
        self._clock = clock

    async def create(
        self,
        name: str,
        owner: str,
        *,
        lifetime_s: float,
        scopes: Sequence[str] = (),
        limit: Limit | None = None,
        token_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> tuple[str, ApiKey]:
        """
        Create a key; return its text, which is never shown again, and its record.

        The id is stored before the record, so that a failure in between leaves no key unlisted.
        """
        text, parts = format_key(token_bytes(ID_BYTES), token_bytes(SECRET_BYTES))
        now_ms = int(self._clock() * 1000)
        key = ApiKey(
            id=parts.id,
            name=name,
            owner=owner,
            secret_hash=hash_of(parts.secret),
            scopes=tuple(sorted(set(scopes))),
            limit=limit,
            created_at_ms=now_ms,
            expires_at_ms=now_ms + round(lifetime_s * 1000),
        )
        await self._update_index(add=key.id)
        await self._save(key)
        return text, key

    async def get(self, key_id: str) -> ApiKey | None:
        """Look a key up; None where there is none, or its seal is not ours."""
        sealed = await self._store.get(_name(key_id))
        return None if sealed is None else self._sealer.open(sealed, key_id)

    async def all(self) -> list[ApiKey]:
        """List all keys, the oldest first; remove ids from the set whose records are gone."""
        found, gone = [], []
        for key_id in await self._update_index():
            key = await self.get(key_id)
            if key is not None:
                found.append(key)
            elif await self._store.get(_name(key_id)) is None:
                gone.append(key_id)
        if gone:
            await self._update_index(remove=gone)
        return sorted(found, key=lambda key: (key.created_at_ms, key.id))

    async def revoke(self, key: ApiKey) -> ApiKey:
        """Revoke a key and return its new record; one that is revoked already stays as it is."""
        if key.revoked_at_ms is None:
            key = replace(key, revoked_at_ms=int(self._clock() * 1000))
            await self._save(key)
        return key

    async def reseal(self, key_id: str) -> bool:
        """
        Seal the record with the first of the server's keys, so that the others can be removed.

        Return whether that was done. It is not where there is no such key, or where the record
        changed meanwhile.
        """
        sealed = await self._store.get(_name(key_id))
        key = None if sealed is None else self._sealer.open(sealed, key_id)
        if sealed is None or key is None:
            return False
        resealed = self._sealer.seal(key)
        forms = sealed.hex(), armour(sealed).encode().hex()
        return bool(await self._store.run(SWAP, [_name(key_id)], [*forms, resealed]))

    async def used_at_ms(self, key_id: str) -> int | None:
        """Look up when a key was last used, to the minute; None where that is unknown."""
        digits = await self._store.get(_used(key_id))
        return int(digits) if digits is not None and digits.isdigit() else None

    async def note_use(self, key: ApiKey) -> None:
        """Record that a key is being used. Ignores a store that is down."""
        with suppress(StoreUnavailable):
            digits = str(int(self._clock() * 1000)).encode()
            await self._store.set(_used(key.id), digits, expires_at_ms=_kept_until_ms(key))

    async def _save(self, key: ApiKey) -> None:
        sealed = self._sealer.seal(key)
        await self._store.set(_name(key.id), sealed, expires_at_ms=_kept_until_ms(key))

    async def _update_index(self, add: str = "", remove: Sequence[str] = ()) -> list[str]:
        members = await self._store.run(INDEX, ["api-keys"], [add, *remove])
        return [member.decode() for member in cast("list[bytes]", members)]


def _kept_until_ms(key: ApiKey) -> int:
    return key.expires_at_ms + KEPT_BEYOND_S * 1000


def _name(key_id: str) -> str:
    return f"api-key:{key_id}"


def _used(key_id: str) -> str:
    return f"api-key-used:{key_id}"
