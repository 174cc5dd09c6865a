"""Sessions that were looked up a moment ago."""

from typing import NamedTuple

from gateway.core.identity import Identity
from gateway.util.lru import LruCache

FRESH_S = 1.0
"""How long a session that was ended elsewhere may go on here."""

MAX_SESSIONS = 10_000

_NEVER_S = float("-inf")


class Seen(NamedTuple):
    """A session, and the stretch of Unix time, in seconds, in which it need not be asked for."""

    identity: Identity
    from_s: float
    until_s: float


class SessionCache:
    """
    The sessions used most recently, by cookie.

    Those that are not fresh any more are kept for `recall`, for ``grace_s`` from when they were
    looked up. None outlives its session's end. A clock that was set back makes it ask again, not
    go on.
    """

    def __init__(
        self,
        fresh_s: float = FRESH_S,
        max_sessions: int = MAX_SESSIONS,
        grace_s: float = 0.0,
    ) -> None:
        self._fresh_s = fresh_s
        self._grace_s = grace_s
        self._seen: LruCache[str, Seen] = LruCache(max_sessions)
        self._cookies: dict[str, str] = {}
        """By session key: its cookie."""
        self._of_issuer: dict[str, set[str]] = {}
        """By issuer: the cookies."""

    def get(self, cookie: str, now_s: float) -> Identity | None:
        seen = self._seen.peek(cookie)
        if seen is None or not seen[1] <= now_s < seen[2]:
            return None
        self._seen.touch(cookie)
        return seen[0]

    def recall(self, cookie: str, now_s: float) -> Identity | None:
        """What was known, for while the store cannot be asked."""
        seen = self._seen.peek(cookie)
        if seen is None or not 0 <= now_s - seen.from_s < self._grace_s:
            return None
        is_over = now_s * 1000 >= seen.identity.expires_at_ms
        return None if is_over else seen.identity

    def issuer_of(self, cookie: str) -> str | None:
        """Whose session it was when it was looked up last, however long ago."""
        seen = self._seen.peek(cookie)
        return seen.identity.user.issuer if seen is not None else None

    def put(self, cookie: str, identity: Identity, now_s: float) -> None:
        """Keep ``identity``, which has a session key."""
        until_s = min(now_s + self._fresh_s, identity.expires_at_ms / 1000)
        evicted = self._seen.put(cookie, Seen(identity, now_s, until_s))
        self._cookies[str(identity.session_key)] = cookie
        self._of_issuer.setdefault(identity.user.issuer, set()).add(cookie)
        if evicted is not None:
            self._unlist(*evicted)

    def drop(self, session_key: str) -> None:
        cookie = self._cookies.get(session_key)
        if cookie is not None:
            self.drop_cookie(cookie)

    def drop_cookie(self, cookie: str) -> None:
        seen = self._seen.forget(cookie)
        if seen is not None:
            self._unlist(cookie, seen)

    def drop_issuer(self, issuer: str) -> None:
        for cookie in tuple(self._of_issuer.get(issuer, ())):
            self.drop_cookie(cookie)

    def stale_all(self) -> None:
        """Nothing is fresh any more."""
        for cookie, seen in self._seen.items():
            self._seen.put(cookie, seen._replace(until_s=_NEVER_S))

    def _unlist(self, cookie: str, seen: Seen) -> None:
        identity = seen.identity
        del self._cookies[str(identity.session_key)]
        of_issuer = self._of_issuer[identity.user.issuer]
        of_issuer.discard(cookie)
        if not of_issuer:
            del self._of_issuer[identity.user.issuer]
