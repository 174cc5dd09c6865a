"""API keys in the store: made and revoked by commands, looked up by gateways."""

import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib.resources import files
from typing import NamedTuple, cast

from gateway.authn.api_key.key import (
    ID_BYTES,
    SECRET_BYTES,
    SERVICE,
    ApiKey,
    KeySealer,
    hash_of,
    is_secret_of,
    read,
    written,
)
from gateway.core.errors import (
    ExpiredApiKey,
    InvalidApiKey,
    RateLimited,
    RevokedApiKey,
    StoreUnavailable,
)
from gateway.core.ports import (
    Clock,
    Directory,
    Limiter,
    Script,
    Store,
    TokenVerifier,
)
from gateway.core.request import (
    AuthMethod,
    Identity,
    Limit,
    User,
)
from gateway.util.lru import Bounded


def _script(name: str) -> Script:
    return Script(name, files("gateway.authn.api_key").joinpath(f"{name}.lua").read_text("utf-8"))


INDEX, SWAP = _script("api_keys"), _script("swap")

KEPT_BEYOND_S = 30 * 86_400
"""How long a record outlives its key: who still uses that one is told what has become of it."""

FRESH_S = 1.0
"""How long a record is believed; less where a gateway hears that it was changed."""
GRACE_S = 30.0
"""The same while the store does not answer."""
UNKNOWN_S = 10.0
"""How long an id is believed to be nobody's. They are random: none is tried before it is made."""
_NOTED_EVERY_S = 60.0
"""How often it is noted that a key is used."""


class StoredKeys:
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
        text, parts = written(token_bytes(ID_BYTES), token_bytes(SECRET_BYTES))
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


class _Known(NamedTuple):
    key: ApiKey
    asked_at_s: float
    era: int


class ApiKeyVerifier:
    """
    Proves whose an API key is.

    A record that was looked up is believed for a second, less where this gateway hears that the key
    was revoked, and for half a minute while the store does not answer. Ids that are nobody's have a
    memory of their own, so that a flood of them pushes out no key.
    """

    def __init__(
        self,
        keys: StoredKeys,
        directory: Directory,
        limiter: Limiter,
        *,
        clock: Clock = time.time,
        capacity: int = 10_000,
    ) -> None:
        self._keys = keys
        self._directory = directory
        self._limiter = limiter
        self._clock = clock
        self._known: Bounded[str, _Known] = Bounded(capacity)
        self._unknown_until_s: Bounded[str, float] = Bounded(capacity)
        self._identities: Bounded[str, Identity] = Bounded(capacity)
        self._noted_at_s: Bounded[str, float] = Bounded(capacity)
        self._forgotten = 0
        """How often something was forgotten: what was looked up meanwhile may be just that."""
        self._era = 0
        """What was learnt in another one is not fresh."""

    async def verify(self, token: str) -> Identity:
        """
        Whose key it is.

        Raises `InvalidApiKey`, `ExpiredApiKey`, `RevokedApiKey`, `RateLimited`, `StoreUnavailable`
        or `MagicUnavailable`.
        """
        parts = read(token)
        if parts is None:
            raise InvalidApiKey("malformed")
        key = await self._key(parts.id)
        if not is_secret_of(key, parts.secret):
            raise InvalidApiKey(f"wrong secret for {key.id}")
        now_s = self._clock()
        match key.state(int(now_s * 1000)):
            case "revoked":
                raise RevokedApiKey(key.id)
            case "expired":
                raise ExpiredApiKey(key.id)
        identity = await self._identity(key)
        if key.limit is not None:
            state = await self._limiter.spend(key.limit, key.id)
            if not state.allowed:
                raise RateLimited(state)
        if now_s - (self._noted_at_s.get(key.id) or 0.0) >= _NOTED_EVERY_S:
            self._noted_at_s.put(key.id, now_s)
            await self._keys.note_use(key)
        return identity

    def knows(self, token: str) -> bool:
        """Whether it is a key that was looked up here, not long ago."""
        parts = read(token)
        known = self._known.get(parts.id) if parts else None
        return known is not None and parts is not None and is_secret_of(known.key, parts.secret)

    def forget(self, key_id: str) -> None:
        """Ask the store the next time; without it, the key is good for nothing."""
        self._forgotten += 1
        self._known.forget(key_id)
        self._unknown_until_s.forget(key_id)

    def forget_all(self) -> None:
        """Ask the store about all of them the next time; without it, what was known holds on."""
        self._forgotten += 1
        self._era += 1

    async def _key(self, key_id: str) -> ApiKey:
        now_s = self._clock()
        known = self._known.get(key_id)
        if known is not None and known.era == self._era and 0 <= now_s - known.asked_at_s < FRESH_S:
            return known.key
        unknown_until_s = self._unknown_until_s.get(key_id)
        if unknown_until_s is not None and 0 < unknown_until_s - now_s <= UNKNOWN_S:
            raise InvalidApiKey("no such key")
        return await self._look_up(key_id, now_s)

    async def _look_up(self, key_id: str, now_s: float) -> ApiKey:
        forgotten = self._forgotten
        try:
            key = await self._keys.get(key_id)
        except StoreUnavailable:
            known = self._known.get(key_id)
            if known is None or not 0 <= now_s - known.asked_at_s < GRACE_S:
                raise
            return known.key
        if key is None:
            self._unknown_until_s.put(key_id, now_s + UNKNOWN_S)
            raise InvalidApiKey("no such key")
        if forgotten == self._forgotten:
            self._known.put(key_id, _Known(key, now_s, self._era))
        return key

    async def _identity(self, key: ApiKey) -> Identity:
        """Of a service; or of a person, with what Magic knows. One object while that stays so."""
        known = self._identities.get(key.id)
        if key.owner.startswith(SERVICE):
            user = known.user if known is not None else User(key.owner)
        else:
            found = await self._directory.user(key.owner)
            if found is None:
                raise InvalidApiKey(f"the owner of {key.id} is no user")
            user = found
        if known is None or known.user is not user:
            known = Identity(
                user,
                AuthMethod.API_KEY,
                key.id,
                key.expires_at_ms,
                proven_at_ms=key.created_at_ms,
                scopes=key.scopes,
            )
            self._identities.put(key.id, known)
        return known


_: type[TokenVerifier] = ApiKeyVerifier
