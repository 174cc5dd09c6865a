"""Endpoints: where events go, and which."""

from dataclasses import dataclass
from urllib.parse import urlsplit

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

    @property
    def place(self) -> str:
        """The URL as people may see it: its path and its query are secret with some receivers."""
        scheme, host, *rest, _ = urlsplit(self.url)
        if not host:
            return self.url  # a hook in this process: `python:NAME`
        return f"{scheme}://{host}" + ("/…" if any(part.strip("/") for part in rest) else "/")

    def wants(self, event: Event) -> bool:
        """Return whether the endpoint hears of ``event``."""
        return event.type in self.events
