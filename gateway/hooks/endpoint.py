"""Endpoints: where events go, and which."""

from dataclasses import dataclass

from gateway.core.event import Event, EventType
from gateway.hooks.signature import Signer


@dataclass(frozen=True, slots=True)
class HookEndpoint:
    """A webhook of the config. Its secrets are in the signer alone."""

    name: str
    url: str
    signer: Signer
    events: frozenset[EventType]
    is_awaited: bool = False
    """Whether a first sign-in waits until this endpoint has taken its event."""

    def wants(self, event: Event) -> bool:
        """Return whether the endpoint hears of ``event``."""
        return event.type in self.events
