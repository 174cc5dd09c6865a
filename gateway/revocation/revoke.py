"""Revocation of an issuer: its credentials, its sessions, and its sessions at Magic."""

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from gateway.core.errors import StoreUnavailable
from gateway.core.issuer import canonical
from gateway.core.ports import Revocations, Sessions

_log = logging.getLogger(__name__)


class Revoked(NamedTuple):
    """Result of a revocation."""

    issuer: str
    """The canonical spelling."""
    epoch_ms: int
    """Unix time in milliseconds: all proofs made by then are revoked."""
    sessions: int
    """How many sessions were ended; any that were missed are revoked all the same."""


class Revoker:
    """Revokes issuers: sets the epoch, which is decisive, and then cleans up."""

    def __init__(
        self, revocations: Revocations, sessions: Sessions, log_out: Callable[[str], object]
    ) -> None:
        """Call ``log_out`` with each issuer, to end its sessions at Magic too."""
        self._revocations = revocations
        self._sessions = sessions
        self._log_out = log_out

    async def revoke(self, issuer: str) -> Revoked:
        """Revoke ``issuer``. Raises ValueError for a malformed one, and `StoreUnavailable`."""
        name = canonical(issuer)
        epoch_ms = await self._revocations.revoke(name)
        _log.info("revoked: %s", name)
        self._log_out(name)
        sessions = 0
        with suppress(StoreUnavailable):
            sessions = await self._sessions.end_all(name)
        return Revoked(name, epoch_ms, sessions)
