"""All tunnels of a process: a tunnel ends when the session that opened it does."""

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
"""How often tunnels are checked: within a second, a store's time-out included."""
_CHECKS_PER_ISSUER_CHECK = 5
"""
Issuers are checked every so many times: every 2 s, in case an invalidation message was lost.

For 10 000 tunnels that takes 80 ms of CPU, and revoking an issuer also ends its sessions.
"""
_BATCH = 500
"""Sessions, or issuers, in one query to the store."""
_STAGGERED_OVER = 0.8
"""Part of the drain time: the last tunnels need the rest to end."""


class ProofLookup(NamedTuple):
    """Look-ups of ended sessions and revoked issuers; what is unknown is not in the result."""

    ended: Callable[[Sequence[str]], Awaitable[Iterable[str]]]
    """Returns those of the sessions, by key, that have ended."""
    epochs_ms: Callable[[Sequence[str]], Awaitable[Mapping[str, int]]]
    """Returns the epochs of those issuers that were revoked; see `gateway.revocation.epoch`."""


class TunnelEnd(NamedTuple):
    """Why a tunnel ends, and what a WebSocket client is told (RFC 6455 section 7.4.1)."""

    reason: TunnelEndReason
    close_code: int
    close_reason: str


CLOSED = TunnelEnd("closed", 1000, "")
"""By one of the peers: the gateway sends no Close frame."""
IDLE = TunnelEnd("idle", 1001, "idle")
EXPIRED = TunnelEnd("expired", 1008, "sign-in expired")
REVOKED = TunnelEnd("revoked", 1008, "session ended")
DRAINED = TunnelEnd("drained", 1001, "going away")


class OpenTunnel(Protocol):
    """A tunnel, as the registry sees it."""

    session_key: str | None
    """The session that opened it; None without one."""
    expires_at_ms: int | None
    """Unix time at which the credential expires; None for an anonymous client."""
    issuer: str | None
    """The subject whose revocation ends it, if any; see `gateway.revocation.epoch.subject_of`."""
    proven_at_ms: int
    """Unix time at which the client authenticated."""

    def check_idle(self, loop_now_s: float) -> None:
        """End if it was idle for too long."""

    def end(self, ending: TunnelEnd) -> None:
        """End now, or in a moment; a second call has no effect."""


class TunnelRegistry:
    """Knows all open tunnels, and ends those that are idle, expired or revoked."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock, counters: Counters) -> None:
        self._loop = loop
        self._clock = clock
        self._counters = counters
        self._open: set[OpenTunnel] = set()
        self._by_session: defaultdict[str, set[OpenTunnel]] = defaultdict(set)
        self._by_issuer: defaultdict[str, set[OpenTunnel]] = defaultdict(set)
        self._sessions_to_recheck: set[str] = set()
        self._issuers_to_recheck: set[str] = set()
        self._recheck_requested = asyncio.Event()
        self._checks = 0
        self._is_draining = False

    def __len__(self) -> int:
        return len(self._open)

    def add(self, tunnel: OpenTunnel) -> None:
        """
        Register an open tunnel, and recheck its session and issuer.

        They may have ended between the admission of the request and the app's 101.
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
        """Forget a tunnel that has ended."""
        self._counters.add(TUNNELS_ENDED, ending.reason)
        self._open.discard(tunnel)
        _discard(self._by_session, tunnel.session_key, tunnel)
        _discard(self._by_issuer, tunnel.issuer, tunnel)

    def end_session(self, session_key: str) -> None:
        """End the tunnels of a session that has ended."""
        for tunnel in tuple(self._by_session.get(session_key, ())):
            tunnel.end(REVOKED)

    def end_issuer(self, issuer: str, epoch_ms: int) -> None:
        """End the tunnels of a revoked issuer that authenticated up to its epoch."""
        for tunnel in tuple(self._by_issuer.get(issuer, ())):
            if is_revoked(tunnel.proven_at_ms, epoch_ms):
                tunnel.end(REVOKED)

    # --- rechecks ------------------------------------------------------------------------------

    def recheck_session(self, session_key: str) -> None:
        """Look up soon whether a session has ended: a message that says so is not trusted."""
        if session_key in self._by_session:
            self._sessions_to_recheck.add(session_key)
            self._recheck_requested.set()

    def recheck_issuer(self, issuer: str) -> None:
        """Look up soon whether an issuer was revoked."""
        if issuer in self._by_issuer:
            self._issuers_to_recheck.add(issuer)
            self._recheck_requested.set()

    def recheck_all(self) -> None:
        """Look up all sessions and issuers soon."""
        self._sessions_to_recheck.update(self._by_session)
        self._issuers_to_recheck.update(self._by_issuer)
        self._recheck_requested.set()

    async def recheck_pending(self, lookup: ProofLookup) -> None:
        """Look up what is to be rechecked, in batches, until cancelled."""
        while True:
            await self._recheck_requested.wait()
            self._recheck_requested.clear()
            sessions, self._sessions_to_recheck = self._sessions_to_recheck, set()
            issuers, self._issuers_to_recheck = self._issuers_to_recheck, set()
            try:
                await self._look_up(lookup, sessions, issuers)
            except Exception:  # noqa: BLE001 (the next check looks up again, whatever the error)
                _log.exception("rechecking tunnels failed")

    async def watch(self, lookup: ProofLookup, period_s: float = _PERIOD_S) -> None:
        """Check all tunnels periodically, until cancelled."""
        while True:
            await asyncio.sleep(period_s)
            try:
                await self.check(lookup)
            except Exception:  # noqa: BLE001 (expired tunnels must still end, whatever the error)
                _log.exception("checking tunnels failed")

    async def check(self, lookup: ProofLookup) -> None:
        """End tunnels that are idle or expired, or whose credential is no longer valid."""
        loop_now_s, now_ms = self._loop.time(), self._clock() * 1000
        for tunnel in tuple(self._open):
            if tunnel.expires_at_ms is not None and now_ms >= tunnel.expires_at_ms:
                tunnel.end(EXPIRED)
            else:
                tunnel.check_idle(loop_now_s)
        issuers = () if self._checks % _CHECKS_PER_ISSUER_CHECK else self._by_issuer
        self._checks += 1
        await self._look_up(lookup, self._by_session, issuers)

    async def _look_up(
        self, lookup: ProofLookup, sessions: Iterable[str], issuers: Iterable[str]
    ) -> None:
        for keys in _batches(sessions):
            for key in await lookup.ended(keys):
                self.end_session(key)
        for names in _batches(issuers):
            for issuer, epoch_ms in (await lookup.epochs_ms(names)).items():
                self.end_issuer(issuer, epoch_ms)

    # --- the end of all ------------------------------------------------------------------------

    def end_all(self) -> None:
        """End all tunnels now."""
        for tunnel in tuple(self._open):
            tunnel.end(DRAINED)

    async def drain(self, within_s: float) -> None:
        """End all tunnels, one by one, so that clients do not all reconnect at the same moment."""
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
    while batch := tuple(islice(left, _BATCH)):
        yield batch
