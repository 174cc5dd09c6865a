"""All tunnels of a process: what a person has opened ends when their session does."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple, Protocol

from gateway.core.ports import Clock
from gateway.revocation.epoch import is_revoked
from gateway.telemetry.counters import Counters
from gateway.telemetry.metrics import TUNNELS, TUNNELS_ENDED, TunnelEndReason

_log = logging.getLogger(__name__)

_PERIOD_S = 0.4
"""How often tunnels are looked at: with a slow store's time-out, still within a second."""
_LOOKS_AT_ISSUERS = 5
"""
At every so manieth look issuers are asked for, too: two seconds, where no message came.

For 10 000 tunnels that takes 80 ms of CPU, and revoking ends the sessions as well.
"""
_AT_ONCE = 500
"""Sessions, or issuers, that the store is asked for together."""
_STAGGERED_OVER = 0.8
"""Of the time to drain: the last tunnels need some of it to end."""


class ProofLookup(NamedTuple):
    """Who knows what is over; what cannot be told is not among the answers."""

    ended: Callable[[Sequence[str]], Awaitable[Iterable[str]]]
    """Those of the sessions, by key, that are no more."""
    epochs_ms: Callable[[Sequence[str]], Awaitable[Mapping[str, int]]]
    """Of those of the issuers that were revoked: up to when; see `gateway.revocation.epoch`."""


class TunnelEnd(NamedTuple):
    """Why a tunnel ends, and what a WebSocket client is told (RFC 6455 section 7.4.1)."""

    reason: TunnelEndReason
    close_code: int
    close_reason: str


CLOSED = TunnelEnd("closed", 1000, "")
"""By one of the peers: the gateway adds nothing."""
IDLE = TunnelEnd("idle", 1001, "idle")
EXPIRED = TunnelEnd("expired", 1008, "sign-in expired")
REVOKED = TunnelEnd("revoked", 1008, "session ended")
DRAINED = TunnelEnd("drained", 1001, "going away")


class OpenTunnel(Protocol):
    """A tunnel, as far as the registry deals with it."""

    session_key: str | None
    """None where no session opened it."""
    expires_at_ms: int | None
    """Unix time; None where nobody had to prove who they are."""
    issuer: str | None
    """Whose epoch ends it, if any; see `gateway.revocation.epoch.subject_of`."""
    proven_at_ms: int
    """Unix time at which they proved it."""

    def look(self, loop_now_s: float) -> None:
        """End if nothing has moved for too long."""

    def end(self, ending: TunnelEnd) -> None:
        """End now, or in a moment; once is enough."""


class TunnelRegistry:
    """Knows all open tunnels, and ends those whose time is over."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock, counters: Counters) -> None:
        self._loop = loop
        self._clock = clock
        self._counters = counters
        self._open: set[OpenTunnel] = set()
        self._by_session: defaultdict[str, set[OpenTunnel]] = defaultdict(set)
        self._by_issuer: defaultdict[str, set[OpenTunnel]] = defaultdict(set)
        self._doubted: set[str] = set()
        self._doubted_issuers: set[str] = set()
        self._in_doubt = asyncio.Event()
        self._looks = 0
        self._is_draining = False

    def __len__(self) -> int:
        return len(self._open)

    def add(self, tunnel: OpenTunnel) -> None:
        """
        It is open.

        What was said while the app was thinking about it, nobody here has heard: so it is asked.
        """
        self._counters.add(TUNNELS)
        self._open.add(tunnel)
        if tunnel.session_key is not None:
            self._by_session[tunnel.session_key].add(tunnel)
            self.recheck_session(tunnel.session_key)
        if tunnel.issuer is not None:
            self._by_issuer[tunnel.issuer].add(tunnel)
            self.recheck_issuer(tunnel.issuer)
        if self._is_draining:
            self._loop.call_soon(tunnel.end, DRAINED)

    def forget(self, tunnel: OpenTunnel, ending: TunnelEnd) -> None:
        """It is over."""
        self._counters.add(TUNNELS_ENDED, ending.reason)
        self._open.discard(tunnel)
        _discard(self._by_session, tunnel.session_key, tunnel)
        _discard(self._by_issuer, tunnel.issuer, tunnel)

    def end_session(self, session_key: str) -> None:
        """The session is over: end what it has opened."""
        for tunnel in tuple(self._by_session.get(session_key, ())):
            tunnel.end(REVOKED)

    def end_issuer(self, issuer: str, epoch_ms: int) -> None:
        """All that the issuer has proven up to then is void: end what it has opened."""
        for tunnel in tuple(self._by_issuer.get(issuer, ())):
            if is_revoked(tunnel.proven_at_ms, epoch_ms):
                tunnel.end(REVOKED)

    # --- what others say is over ---------------------------------------------------------------

    def recheck_session(self, session_key: str) -> None:
        """Ask soon whether it has ended: whoever says so may not be one of us."""
        if session_key in self._by_session:
            self._doubted.add(session_key)
            self._in_doubt.set()

    def recheck_issuer(self, issuer: str) -> None:
        """Ask soon whether it was revoked."""
        if issuer in self._by_issuer:
            self._doubted_issuers.add(issuer)
            self._in_doubt.set()

    def recheck_all(self) -> None:
        """Ask soon about all."""
        self._doubted.update(self._by_session)
        self._doubted_issuers.update(self._by_issuer)
        self._in_doubt.set()

    async def recheck_pending(self, truth: ProofLookup) -> None:
        """Ask about what is in doubt as soon as it is, for ever; many doubts at a time are one."""
        while True:
            await self._in_doubt.wait()
            self._in_doubt.clear()
            sessions, self._doubted = self._doubted, set()
            issuers, self._doubted_issuers = self._doubted_issuers, set()
            try:
                await self._ask(truth, sessions, issuers)
            except Exception:  # noqa: BLE001 (whatever it was, the next look asks again)
                _log.exception("asking about tunnels failed")

    async def watch(self, truth: ProofLookup, period_s: float = _PERIOD_S) -> None:
        """Look at all tunnels now and then, for ever."""
        while True:
            await asyncio.sleep(period_s)
            try:
                await self.look(truth)
            except Exception:  # noqa: BLE001 (whatever it was, expired tunnels must still end)
                _log.exception("looking at tunnels failed")

    async def look(self, truth: ProofLookup) -> None:
        """End what is idle or expired, and what was opened by a proof that is void by now."""
        loop_now_s, now_ms = self._loop.time(), self._clock() * 1000
        for tunnel in tuple(self._open):
            if tunnel.expires_at_ms is not None and now_ms >= tunnel.expires_at_ms:
                tunnel.end(EXPIRED)
            else:
                tunnel.look(loop_now_s)
        issuers = () if self._looks % _LOOKS_AT_ISSUERS else self._by_issuer
        self._looks += 1
        await self._ask(truth, self._by_session, issuers)

    async def _ask(
        self, truth: ProofLookup, sessions: Iterable[str], issuers: Iterable[str]
    ) -> None:
        for keys in _batches(sessions):
            for key in await truth.ended(keys):
                self.end_session(key)
        for names in _batches(issuers):
            for issuer, epoch_ms in (await truth.epochs_ms(names)).items():
                self.end_issuer(issuer, epoch_ms)

    # --- the end of all ------------------------------------------------------------------------

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


def _discard(
    tunnels: defaultdict[str, set[OpenTunnel]], name: str | None, tunnel: OpenTunnel
) -> None:
    if name is None:
        return
    tunnels[name].discard(tunnel)
    if not tunnels[name]:
        del tunnels[name]


def _batches(names: Iterable[str]) -> Iterator[tuple[str, ...]]:
    left = iter(tuple(names))
    while batch := tuple(islice(left, _AT_ONCE)):
        yield batch
