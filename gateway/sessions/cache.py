"""Cache of sessions that were looked up recently."""

from dataclasses import dataclass

from gateway.core.identity import Identity, User
from gateway.util.lru import LruCache
from gateway.util.spread import Spread

FRESH_S = 1.0
"""The longest that a session which another gateway has ended may stay valid here."""

MAX_SESSIONS = 30_000

_NEVER_S = float("-inf")


@dataclass(slots=True)
class CachedSession:
    """A session, and the Unix times, in seconds, between which it is fresh."""

    identity: Identity
    recorded: User
    """The user as the record says, beside the current metadata in ``identity``."""
    sealed: bytes
    """The record in the store: while that is unchanged, so is what it says."""
    from_s: float = _NEVER_S
    until_s: float = _NEVER_S


class SessionCache:
    """
    Caches the most recently used sessions, by cookie.

    A session is fresh for ``fresh_s``, or up to a quarter less: see `gateway.util.spread`.
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
        self._spread = Spread()
        self._sessions: LruCache[str, CachedSession] = LruCache(max_sessions)
        self._cookies: dict[str, str] = {}
        """Cookies by session key."""
        self._of_issuer: dict[str, tuple[str, ...]] = {}
        """Cookies by issuer: mostly one, for which a set would take three times the memory."""

    def get(self, cookie: str, now_s: float) -> Identity | None:
        cached = self._sessions.peek(cookie)
        if cached is None or not cached.from_s <= now_s < cached.until_s:
            return None
        self._sessions.touch(cookie)
        return cached.identity

    def recall(self, cookie: str, now_s: float) -> Identity | None:
        """Return a session that may be stale, for use while the store is unavailable."""
        cached = self._sessions.peek(cookie)
        if cached is None or not 0 <= now_s - cached.from_s < self._grace_s:
            return None
        is_over = now_s * 1000 >= cached.identity.expires_at_ms
        return None if is_over else cached.identity

    def peek(self, cookie: str) -> CachedSession | None:
        """Return the session as it was last looked up, fresh or not."""
        return self._sessions.peek(cookie)

    def put(self, cookie: str, session: CachedSession, now_s: float) -> None:
        """Cache a session with a session key, for which the store was asked at ``now_s``."""
        identity = session.identity
        session.from_s = now_s
        fresh_s = self._fresh_s * self._spread.share()
        session.until_s = min(now_s + fresh_s, identity.expires_at_ms / 1000)
        if self._sessions.peek(cookie) is session:
            self._sessions.touch(cookie)
            return
        evicted = self._sessions.put(cookie, session)
        self._cookies[str(identity.session_key)] = cookie
        cookies = self._of_issuer.get(identity.user.issuer, ())
        if cookie not in cookies:
            self._of_issuer[identity.user.issuer] = (*cookies, cookie)
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
        for cookie in self._of_issuer.get(issuer, ()):
            self.drop_cookie(cookie)

    def mark_all_stale(self) -> None:
        """Mark all entries stale; `recall` still returns them."""
        for cached in self._sessions.values():
            cached.until_s = _NEVER_S

    def _unlist(self, cookie: str, cached: CachedSession) -> None:
        identity = cached.identity
        del self._cookies[str(identity.session_key)]
        left = tuple(each for each in self._of_issuer.pop(identity.user.issuer) if each != cookie)
        if left:
            self._of_issuer[identity.user.issuer] = left
