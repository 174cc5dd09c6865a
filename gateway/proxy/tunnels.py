"""All tunnels of a process: what a person has opened ends when their session does."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import islice
from typing import NamedTuple, Protocol

from gateway.ports import Clock
from gateway.telemetry.tally import Tally

_log = logging.getLogger(__name__)

_PERIOD_S = 0.4
"""How often tunnels are looked at: with a slow store's time-out, still within a second."""
_AT_ONCE = 500
"""Sessions that the store is asked for together."""
_STAGGERED_OVER = 0.8
"""Of the time to drain: the last tunnels need some of it to end."""


EndedSessions = Callable[[Sequence[str]], Awaitable[Iterable[str]]]
"""Those of the sessions, by key, that are no more; what cannot be told is not among them."""


class Ending(NamedTuple):
    """Why a tunnel ends, and what a WebSocket client is told (RFC 6455 section 7.4.1)."""

    reason: str
    close_code: int
    close_reason: str


CLOSED = Ending("closed", 1000, "")
"""By one of the peers: the gateway adds nothing."""
IDLE = Ending("idle", 1001, "idle")
EXPIRED = Ending("expired", 1008, "sign-in expired")
REVOKED = Ending("revoked", 1008, "session ended")
DRAINED = Ending("drained", 1001, "going away")


class OpenTunnel(Protocol):
    """A tunnel, as far as the registry deals with it."""

    session_key: str | None
    """None where no session opened it."""
    expires_at_ms: int | None
    """Unix time; None where nobody had to prove who they are."""

    def look(self, loop_now_s: float) -> None:
        """End if nothing has moved for too long."""

    def end(self, ending: Ending) -> None:
        """End now, or in a moment; once is enough."""


class Tunnels:
    """Knows all open tunnels, and ends those whose time is over."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock, tally: Tally) -> None:
        self._loop = loop
        self._clock = clock
        self._tally = tally
        self._open: set[OpenTunnel] = set()
        self._by_session: dict[str, set[OpenTunnel]] = {}
        self._is_draining = False

    def __len__(self) -> int:
        return len(self._open)

    def add(self, tunnel: OpenTunnel) -> None:
        """It is open."""
        self._tally.add("tunnels")
        self._open.add(tunnel)
        if tunnel.session_key is not None:
            self._by_session.setdefault(tunnel.session_key, set()).add(tunnel)
        if self._is_draining:
            self._loop.call_soon(tunnel.end, DRAINED)

    def forget(self, tunnel: OpenTunnel, ending: Ending) -> None:
        """It is over."""
        self._tally.add("tunnels_ended", ending.reason)
        self._open.discard(tunnel)
        if tunnel.session_key is not None:
            of_session = self._by_session[tunnel.session_key]
            of_session.discard(tunnel)
            if not of_session:
                del self._by_session[tunnel.session_key]

    def end_session(self, session_key: str) -> None:
        """The session is over: end what it has opened."""
        for tunnel in tuple(self._by_session.get(session_key, ())):
            tunnel.end(REVOKED)

    async def watch(self, ended: EndedSessions) -> None:
        """Look at all tunnels now and then, for ever."""
        while True:
            await asyncio.sleep(_PERIOD_S)
            try:
                await self.look(ended)
            except Exception:  # noqa: BLE001 (whatever it was, expired tunnels must still end)
                _log.exception("looking at tunnels failed")

    async def look(self, ended: EndedSessions) -> None:
        """End what is idle or expired, and what belongs to sessions that are no more."""
        loop_now_s, now_ms = self._loop.time(), self._clock() * 1000
        for tunnel in tuple(self._open):
            if tunnel.expires_at_ms is not None and now_ms >= tunnel.expires_at_ms:
                tunnel.end(EXPIRED)
            else:
                tunnel.look(loop_now_s)
        asked = iter(tuple(self._by_session))
        while keys := tuple(islice(asked, _AT_ONCE)):
            for key in await ended(keys):
                self.end_session(key)

    def end_all(self) -> None:
        """End all, now."""
        for tunnel in tuple(self._open):
            tunnel.end(DRAINED)

    async def drain(self, within_s: float) -> None:
        """End all, one after the other, so that clients do not all come back at one time."""
        self._is_draining = True
        waiting = tuple(self._open)
        for tunnel in waiting:
            tunnel.end(DRAINED)
            await asyncio.sleep(within_s * _STAGGERED_OVER / len(waiting))
