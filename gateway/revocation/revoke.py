"""Revocation of an issuer: its credentials, its sessions, and its sessions at Magic."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple, Self

from gateway.core.errors import StoreUnavailable
from gateway.core.event_ports import Events
from gateway.core.issuer import FoundIssuers, is_user
from gateway.core.ports import Revocations, Sessions
from gateway.revocation.name import AcceptedNames, UnknownEmail, revocable
from gateway.revocation.notice import revocation_notice, to_be_told

_log = logging.getLogger(__name__)


class Revoked(NamedTuple):
    """Result of a revocation."""

    issuer: str
    """The canonical spelling."""
    epoch_ms: int
    """Unix time in milliseconds: all proofs made by then are revoked."""
    sessions: int
    """How many sessions were ended; any that were missed are revoked all the same."""


class Revocation(NamedTuple):
    """Results of the revocation of a name: one of an issuer, several of an email address."""

    revoked: tuple[Revoked, ...]
    email: str | None = None
    """The address that was given, in its canonical spelling; None where an issuer was given."""
    is_complete: bool = True
    """False where Magic was not reached: issuers without a session may be missing."""

    def to_json(self) -> dict[str, Any]:
        """Encode it for another process."""
        return {**self._asdict(), "revoked": [each._asdict() for each in self.revoked]}

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> Self:
        """Decode what `to_json` has encoded."""
        revoked = tuple(Revoked(**each) for each in members["revoked"])
        return cls(revoked, members["email"], members["is_complete"])


class Revoker:
    """Revokes issuers: sets the epoch, which is decisive, and then cleans up."""

    def __init__(
        self,
        revocations: Revocations,
        sessions: Sessions,
        log_out: Callable[[str], object],
        accepted: AcceptedNames,
        issuers_of: Callable[[str], Awaitable[FoundIssuers]],
        events: Events | None = None,
    ) -> None:
        """
        Revoke ``accepted`` names, and email addresses, which ``issuers_of`` looks up.

        Call ``log_out`` with each issuer that is a user, to end its sessions at Magic too.
        ``events`` says whether an endpoint hears of that, with how many sessions it ends.
        """
        self._revocations = revocations
        self._sessions = sessions
        self._log_out = log_out
        self._accepted = accepted
        self._issuers_of = issuers_of
        self._events = events

    async def revoke(self, text: str) -> Revocation:
        """
        Revoke an issuer, or all issuers of an email address.

        Raises `RevocationRefused`, `StoreUnavailable`, or `MagicUnavailable` where it had to be
        asked for the issuers.
        """
        name = revocable(text, self._accepted)
        if not name.is_email:
            return Revocation((await self._revoke(name.text),))
        found = await self._issuers_of(name.text)
        if not found.issuers:
            raise UnknownEmail("no user has this email address")
        revoked = [await self._revoke(issuer) for issuer in found.issuers]
        return Revocation(tuple(revoked), name.text, found.is_complete)

    async def _revoke(self, name: str) -> Revoked:
        listed = await to_be_told(self._sessions, self._events, name)
        notice = revocation_notice(name, "revoked", listed)
        epoch_ms = await self._revocations.revoke(name, [notice])
        _log.info("revoked: %s", name)
        if is_user(name):
            self._log_out(name)
        sessions = 0
        with suppress(StoreUnavailable):
            sessions = await self._sessions.end_all(name, listed)
        return Revoked(name, epoch_ms, sessions)
