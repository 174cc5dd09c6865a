"""JWK sets of JWT issuers (RFC 7517): read from a file or fetched, cached, and refreshed."""

import asyncio
import logging
import time
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson
from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey
from yarl import URL

from gateway import __version__
from gateway.core.errors import KeysUnavailable
from gateway.core.ports import Clock
from gateway.util.single_flight import SingleFlight

Key = RSAKey | ECKey | OKPKey
Fetch = Callable[[], Awaitable[bytes]]
"""Returns a key set as JSON, or raises `OSError` or `ValueError`."""

REFRESH_S: Final = 600.0
"""Age at which keys are fetched again, in the background."""
MIN_INTERVAL_S: Final = 5.0
"""Least time between two fetches: tokens with made-up key ids cause no more load than that."""
MIN_INTERVAL_WITHOUT_KEYS_S: Final = 1.0
"""Least time between two fetches while there are no keys."""
MAX_AGE_S: Final = 86_400.0
"""How long keys are used that could not be refreshed."""

DEADLINE_S = 5.0
_MAX_BYTES = 256 << 10
_MAX_KEYS = 64
_LEAST_RSA_BITS = 2048  # RFC 7518 section 3.3
_OK = 200

_log = logging.getLogger(__name__)


class KeySet(NamedTuple):
    """Key set as last fetched from one place, and when (Unix time in seconds)."""

    text: bytes
    keys: tuple[Key, ...]
    fetched_at_s: float


KeySets = dict[str, KeySet]
"""By place (URL or path): the key sets that a process knows, across all configs."""


class KeySource:
    """Provides the keys of one issuer. ``version`` changes when they do."""

    def __init__(
        self,
        issuer: str,
        fetch: Fetch,
        clock: Clock = time.time,
        *,
        place: str = "",
        known: KeySets | None = None,
    ) -> None:
        """Take the key set of ``place`` from ``known`` where a former config fetched it."""
        self.version = 0
        self._issuer = issuer
        self._fetch = fetch
        self._clock = clock
        self._place = place
        self._known: KeySets = {} if known is None else known
        self._keys: tuple[Key, ...] = ()
        self._text = b""
        self._fetched_at_s: float | None = None
        self._attempted_at_s: float | None = None
        self._flights: SingleFlight[str, None] = SingleFlight()
        self._background: asyncio.Future[None] | None = None

    async def keys(self, key_id: str | None, algorithm: str) -> list[Key]:
        """
        Return the keys that may have signed; without an id, the only one for the algorithm.

        Raises `KeysUnavailable` where none could be fetched yet, or not for a day.
        """
        if self._age_s() >= REFRESH_S and self._may_fetch():
            refresh = self._flights.run("keys", self._refresh)
            if self._age_s() >= MAX_AGE_S:
                await refresh
            else:
                self._background = asyncio.ensure_future(refresh)
        if self._age_s() >= MAX_AGE_S:
            raise KeysUnavailable(self._issuer)
        found = self._matching(key_id, algorithm)
        if not found and self._may_fetch():
            await self._flights.run("keys", self._refresh)
            found = self._matching(key_id, algorithm)
        return found

    async def aclose(self) -> None:
        """Cancel fetches that are under way."""
        await self._flights.aclose()

    def _age_s(self) -> float:
        """Return the age of the keys; a clock that was set back makes them due for a refresh."""
        if self._fetched_at_s is None:
            return MAX_AGE_S
        age_s = self._clock() - self._fetched_at_s
        return age_s if age_s >= 0 else REFRESH_S

    def _may_fetch(self) -> bool:
        wait_s = MIN_INTERVAL_S if self._keys else MIN_INTERVAL_WITHOUT_KEYS_S
        return (
            self._attempted_at_s is None or not 0 <= self._clock() - self._attempted_at_s < wait_s
        )

    def _matching(self, key_id: str | None, algorithm: str) -> list[Key]:
        matching = [key for key in self._keys if fits(key, algorithm)]
        if key_id is None:
            return matching if len(matching) == 1 else []
        return [key for key in matching if key.get("kid") == key_id]

    async def _refresh(self) -> None:
        try:
            text = await self._fetch()
            keys = read_keys(text)
        except (OSError, ValueError, ClientError, TimeoutError) as error:
            _log.warning("keys of %s could not be read: %s", self._issuer, type(error).__name__)
            if not self._keys and (former := self._known.get(self._place)) is not None:
                self._adopt(former)
            return
        finally:
            self._attempted_at_s = self._clock()  # only now: callers meanwhile join this fetch
        fetched = self._known[self._place] = KeySet(text, keys, self._clock())
        self._adopt(fetched)

    def _adopt(self, found: KeySet) -> None:
        self._fetched_at_s = found.fetched_at_s
        if found.text != self._text:
            self._text, self._keys = found.text, found.keys
            self.version += 1


def read_keys(text: bytes) -> tuple[Key, ...]:
    """
    Parse a key set and return its public signature keys; all others are ignored.

    Raises ValueError for an invalid key set, and for one without such a key: a mistake of the
    issuer must not discard the keys that are known.
    """
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise ValueError("no JSON") from None
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list) or len(entries) > _MAX_KEYS:
        raise ValueError("no key set, or too many keys")
    found = tuple(key for key in map(_key, entries) if key is not None)
    if not found:
        raise ValueError("no key for signatures")
    return found


def _key(entry: Any) -> Key | None:
    if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
        return None
    operations = entry.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        return None
    public = {name: value for name, value in entry.items() if name not in _PRIVATE}
    try:
        with warnings.catch_warnings(action="ignore"):  # about short keys, which are ignored below
            key = JWKRegistry.import_key(public)
        if isinstance(key, RSAKey) and key.public_key.key_size < _LEAST_RSA_BITS:
            return None
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    return key if isinstance(key, RSAKey | ECKey | OKPKey) else None


_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "key_ops"})
_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
_EDWARDS = frozenset({"EdDSA", "Ed25519"})


def fits(key: Key, algorithm: str) -> bool:
    """Whether ``key`` can be used for ``algorithm``, by its type and by its ``alg`` if any."""
    declared = key.get("alg")
    if declared is not None and declared != algorithm and not {declared, algorithm} <= _EDWARDS:
        return False
    match key:
        case RSAKey():
            return algorithm.startswith(("RS", "PS"))
        case ECKey():
            return _CURVES.get(algorithm) == key.curve_name
        case _:
            return algorithm in _EDWARDS and key.curve_name == "Ed25519"


# --- where they are ----------------------------------------------------------------------------


def in_file(path: str) -> Fetch:
    """Return a function that reads the key set from a file."""

    async def fetch() -> bytes:
        text = await asyncio.to_thread(Path(path).read_bytes)
        if len(text) > _MAX_BYTES:
            raise ValueError("too long")
        return text

    return fetch


def at_url(url: str) -> Fetch:
    """
    Return a function that fetches the key set from ``url``, without redirects, proxy or cookies.

    The length limit counts bytes as they are sent, so the body must not be compressed.
    """

    async def fetch() -> bytes:
        async with (
            ClientSession(
                cookie_jar=DummyCookieJar(),
                auto_decompress=False,
                timeout=ClientTimeout(total=DEADLINE_S),
                headers={
                    "Accept": "application/jwk-set+json, application/json",
                    "Accept-Encoding": "identity",
                    "User-Agent": f"gateway/{__version__}",
                },
            ) as session,
            session.get(URL(url, encoded=True), allow_redirects=False) as response,
        ):
            if response.status != _OK:
                raise ValueError("another status")
            text = bytearray()
            async for part in response.content.iter_any():
                text += part
                if len(text) > _MAX_BYTES:
                    raise ValueError("too long")
            return bytes(text)

    return fetch
