"""API keys in the store: made and revoked by commands, looked up by gateways."""

import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib.resources import files
from typing import cast

from gateway.authn.api_key.key import (
    ID_BYTES,
    SECRET_BYTES,
    ApiKey,
    KeySealer,
    format_key,
    hash_of,
)
from gateway.core.errors import (
    StoreUnavailable,
)
from gateway.core.limit import Limit
from gateway.core.ports import (
    Clock,
    Script,
    Store,
)


def _script(name: str) -> Script:
    return Script(name, files("gateway.authn.api_key").joinpath(f"{name}.lua").read_text("utf-8"))


INDEX = _script("api_keys")


SWAP = _script("swap")


KEPT_BEYOND_S = 30 * 86_400
"""How long a record outlives its key: who still uses that one is told what has become of it."""


class RedisApiKeys:
    """The records, ``api-key:{id}``, and the set ``api-keys`` of their ids."""

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
        A new key: its text, which nobody will see again, and its record.

        The id comes first and the record second: a failure in between leaves no key unlisted.
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
        await self._ids(put_in=key.id)
        await self._keep(key)
        return text, key

    async def get(self, key_id: str) -> ApiKey | None:
        """The key; None where there is none, or its record was not made by us."""
        sealed = await self._store.get(_name(key_id))
        return None if sealed is None else self._sealer.open(sealed, key_id)

    async def all(self) -> list[ApiKey]:
        """All of them, the oldest first; those whose records are over are forgotten."""
        found, gone = [], []
        for key_id in await self._ids():
            key = await self.get(key_id)
            if key is not None:
                found.append(key)
            elif await self._store.get(_name(key_id)) is None:
                gone.append(key_id)
        if gone:
            await self._ids(take_out=gone)
        return sorted(found, key=lambda key: (key.created_at_ms, key.id))

    async def revoke(self, key: ApiKey) -> ApiKey:
        """The record as it is from now on; one that was revoked before stays as it is."""
        if key.revoked_at_ms is None:
            key = replace(key, revoked_at_ms=int(self._clock() * 1000))
            await self._keep(key)
        return key

    async def reseal(self, key_id: str) -> bool:
        """
        Seal its record with the first of the server's keys, so that the others may go.

        Whether that was done; not where there is no such key, or it was changed meanwhile.
        """
        sealed = await self._store.get(_name(key_id))
        key = None if sealed is None else self._sealer.open(sealed, key_id)
        if sealed is None or key is None:
            return False
        anew = self._sealer.seal(key)
        return bool(await self._store.run(SWAP, [_name(key_id)], [sealed, anew]))

    async def used_at_ms(self, key_id: str) -> int | None:
        """When it was used last, to the minute; None where that is not known."""
        said = await self._store.get(_used(key_id))
        return int(said) if said is not None and said.isdigit() else None

    async def note_use(self, key: ApiKey) -> None:
        """It is in use. A store that is down is passed over."""
        with suppress(StoreUnavailable):
            said = str(int(self._clock() * 1000)).encode()
            await self._store.set(_used(key.id), said, expires_at_ms=_kept_until_ms(key))

    async def _keep(self, key: ApiKey) -> None:
        sealed = self._sealer.seal(key)
        await self._store.set(_name(key.id), sealed, expires_at_ms=_kept_until_ms(key))

    async def _ids(self, put_in: str = "", take_out: Sequence[str] = ()) -> list[str]:
        said = await self._store.run(INDEX, ["api-keys"], [put_in, *take_out])
        return [member.decode() for member in cast("list[bytes]", said)]


def _kept_until_ms(key: ApiKey) -> int:
    return key.expires_at_ms + KEPT_BEYOND_S * 1000


def _name(key_id: str) -> str:
    return f"api-key:{key_id}"


def _used(key_id: str) -> str:
    return f"api-key-used:{key_id}"
