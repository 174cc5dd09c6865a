"""Revokes an issuer: all that it has proven, its sessions, and those that it has with Magic."""

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from gateway.core.errors import StoreUnavailable
from gateway.core.issuer import canonical
from gateway.core.ports import Revocations, Sessions

_log = logging.getLogger(__name__)


class Revoked(NamedTuple):
    """What became of it."""

    issuer: str
    """As identities spell it."""
    epoch_ms: int
    """Unix time in milliseconds: all that was proven by then is void."""
    sessions: int
    """How many of them were ended; those that were not heard of are void all the same."""


class Revoker:
    """The epoch comes first, and decides; what comes after it tidies up."""

    def __init__(
        self, revocations: Revocations, sessions: Sessions, log_out: Callable[[str], object]
    ) -> None:
        """``log_out`` is told who is to be signed out at Magic too."""
        self._revocations = revocations
        self._sessions = sessions
        self._log_out = log_out

    async def revoke(self, issuer: str) -> Revoked:
        """Raises ValueError where it is no issuer, and `StoreUnavailable`."""
        name = canonical(issuer)
        epoch_ms = await self._revocations.revoke(name)
        _log.info("revoked: %s", name)
        self._log_out(name)
        sessions = 0
        with suppress(StoreUnavailable):
            sessions = await self._sessions.end_all(name)
        return Revoked(name, epoch_ms, sessions)
