"""Sessions that were looked up a moment ago."""

from collections import OrderedDict
from typing import NamedTuple

from gateway.messages import Identity

FRESH_S = 1.0
"""How long a session that was ended elsewhere may go on here."""

MAX_SESSIONS = 10_000


class Seen(NamedTuple):
    """A session, and the stretch of Unix time, in seconds, in which it need not be asked for."""

    identity: Identity
    from_s: float
    until_s: float


class SessionCache:
    """
    The sessions used most recently, by cookie.

    None outlives its session's end. A clock that was set back makes it ask again, not go on.
    """

    def __init__(self, fresh_s: float = FRESH_S, max_sessions: int = MAX_SESSIONS) -> None:
        self._fresh_s = fresh_s
        self._max_sessions = max_sessions
        self._seen: OrderedDict[str, Seen] = OrderedDict()
        self._cookies: dict[str, str] = {}
        """By session key: its cookie."""

    def get(self, cookie: str, now_s: float) -> Identity | None:
        seen = self._seen.get(cookie)
        if seen is None or not seen[1] <= now_s < seen[2]:
            return None
        self._seen.move_to_end(cookie)
        return seen[0]

    def put(self, cookie: str, identity: Identity, now_s: float) -> None:
        """Keep ``identity``, which has a session key."""
        until_s = min(now_s + self._fresh_s, identity.expires_at_ms / 1000)
        self._seen[cookie] = Seen(identity, now_s, until_s)
        self._seen.move_to_end(cookie)
        self._cookies[str(identity.session_key)] = cookie
        if len(self._seen) > self._max_sessions:
            _, oldest = self._seen.popitem(last=False)
            del self._cookies[str(oldest.identity.session_key)]

    def drop(self, session_key: str) -> None:
        cookie = self._cookies.pop(session_key, None)
        if cookie is not None:
            del self._seen[cookie]

    def drop_all(self) -> None:
        self._seen.clear()
        self._cookies.clear()
