"""
Ports of events: who records what happens to people and their sessions, for webhooks.

Like `gateway.core.ports`, which has the other ports.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from gateway.core.event import EventType, Notice
from gateway.core.identity import Browser, Identity
from gateway.core.ports import Script

EventData = Mapping[str, str | int | None]
"""What an event tells beside its kind and its subject."""


class SignIns(Protocol):
    """Records that people sign in, each time by a DID token that counts once."""

    async def record(self, identity: Identity, browser: Browser, session_key: str) -> bool:
        """
        Mark the token of ``identity`` as used; return whether it was unused.

        The events of the sign-in are recorded with it, neither without the other. Raises
        `StoreUnavailable`, or `OutboxFull` where the first sign-in of a person finds no room.
        """

    async def take_back(self, identity: Identity) -> None:
        """Take the mark back, for a session that was not stored. Raises `StoreUnavailable`."""


class ToldChanges(Protocol):
    """Makes changes of the store together with the events that tell of them."""

    def wanted(self, notices: Sequence[Notice]) -> Sequence[Notice]:
        """Return those that some endpoint wants; a change that tells of none needs no `make`."""

    async def make(
        self,
        change: Script,
        key: str,
        args: Sequence[str | int | bytes],
        notices: Sequence[Notice],
    ) -> object:
        """
        Make ``change``, a script of one key, and record the wanted ``notices`` in the same step.

        Returns what the script replies. Where that is 0, it has changed nothing, and nothing is
        told. Raises `StoreUnavailable`.
        """


class Events(Protocol):
    """Records events that no change of the store stands for."""

    def wants(self, kind: EventType) -> bool:
        """Return whether any endpoint hears of this kind."""

    async def tell(self, kind: EventType, subject: str, data: EventData) -> None:
        """Record an event, if any endpoint wants it; raises nothing, and counts what is lost."""

    def sample(self, kind: EventType, subject: str, data: EventData) -> None:
        """Record one event of this kind a second at most, with how many there were."""
