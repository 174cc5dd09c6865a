"""Cache of sessions that were looked up recently."""

from typing import NamedTuple

from gateway.core.identity import Identity
from gateway.util.lru import LruCache

FRESH_S = 1.0
"""How long a session that another gateway has ended may stay valid here."""

MAX_SESSIONS = 10_000

_NEVER_S = float("-inf")


class CachedSession(NamedTuple):
    """A session, and the Unix times, in seconds, between which it is fresh."""

    identity: Identity
    from_s: float
    until_s: float


class SessionCache:
    """
    Caches the most recently used sessions, by cookie.

    Sessions that are no longer fresh are kept for `recall`, for ``grace_s`` after their look-up. No
    entry outlives its session. After a clock was set back, entries are not fresh.
    """

    def __init__(
        self,
        fresh_s: float = FRESH_S,
        max_sessions: int = MAX_SESSIONS,
        grace_s: float = 0.0,
    ) -> None:
        self._fresh_s = fresh_s
        self._grace_s = grace_s
        self._sessions: LruCache[str, CachedSession] = LruCache(max_sessions)
        self._cookies: dict[str, str] = {}
        """Cookies by session key."""
        self._of_issuer: dict[str, set[str]] = {}
        """Cookies by issuer."""

    def get(self, cookie: str, now_s: float) -> Identity | None:
        cached = self._sessions.peek(cookie)
        if cached is None or not cached[1] <= now_s < cached[2]:
            return None
        self._sessions.touch(cookie)
        return cached[0]

    def recall(self, cookie: str, now_s: float) -> Identity | None:
        """Return a session that may be stale, for use while the store is unavailable."""
        cached = self._sessions.peek(cookie)
        if cached is None or not 0 <= now_s - cached.from_s < self._grace_s:
            return None
        is_over = now_s * 1000 >= cached.identity.expires_at_ms
        return None if is_over else cached.identity

    def issuer_of(self, cookie: str) -> str | None:
        """Return the issuer of the session when it was last looked up, fresh or not."""
        cached = self._sessions.peek(cookie)
        return cached.identity.user.issuer if cached is not None else None

    def put(self, cookie: str, identity: Identity, now_s: float) -> None:
        """Cache ``identity``, which has a session key."""
        until_s = min(now_s + self._fresh_s, identity.expires_at_ms / 1000)
        evicted = self._sessions.put(cookie, CachedSession(identity, now_s, until_s))
        self._cookies[str(identity.session_key)] = cookie
        self._of_issuer.setdefault(identity.user.issuer, set()).add(cookie)
        if evicted is not None:
            self._unlist(*evicted)

    def drop(self, session_key: str) -> None:
        cookie = self._cookies.get(session_key)
        if cookie is not None:
            self.drop_cookie(cookie)

    def drop_cookie(self, cookie: str) -> None:
        cached = self._sessions.forget(cookie)
        if cached is not None:
            self._unlist(cookie, cached)

    def drop_issuer(self, issuer: str) -> None:
        for cookie in tuple(self._of_issuer.get(issuer, ())):
            self.drop_cookie(cookie)

    def mark_all_stale(self) -> None:
        """Mark all entries stale; `recall` still returns them."""
        for cookie, cached in self._sessions.items():
            self._sessions.put(cookie, cached._replace(until_s=_NEVER_S))

    def _unlist(self, cookie: str, cached: CachedSession) -> None:
        identity = cached.identity
        del self._cookies[str(identity.session_key)]
        of_issuer = self._of_issuer[identity.user.issuer]
        of_issuer.discard(cookie)
        if not of_issuer:
            del self._of_issuer[identity.user.issuer]
