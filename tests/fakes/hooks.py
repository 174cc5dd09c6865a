"""Endpoints, events and receivers of webhooks, for tests."""

import base64
from collections.abc import Callable

from gateway.core.event import Event, EventType
from gateway.core.event_ports import EventData
from gateway.hooks.attempts import HookAnswer
from gateway.hooks.cloud_event import encode
from gateway.hooks.endpoint import HookEndpoint
from gateway.hooks.queue import Delivery
from gateway.hooks.sender import Post
from gateway.hooks.signature import Signer

SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
SOURCE = "https://app.example.com"
ADA, BOB = "did:ethr:0xAd", "did:ethr:0xB0b"


def endpoint(name: str = "crm", *events: EventType) -> HookEndpoint:
    """Return an endpoint for some kinds of events; for all, where none is named."""
    wanted = frozenset(events or EventType)
    return HookEndpoint(name, f"https://{name}.example.com/hook", Signer([SECRET]), wanted)


def event(name: str, subject: str = ADA, kind: EventType = EventType.LOGIN) -> bytes:
    """Return an event whose id is ``name``, as it is recorded."""
    return encode(Event(name, kind, subject, 1_700_000_000_000, {}), SOURCE)


def delivery(name: str, subject: str = ADA, kind: EventType = EventType.LOGIN) -> Delivery:
    """Return an event as it is added to a queue."""
    return Delivery(subject, name, event(name, subject, kind))


class FakeSender:
    """Takes deliveries; ``answer`` says how each ends, by the id of its event."""

    def __init__(self, answer: Callable[[str], HookAnswer] | None = None) -> None:
        self.answer = answer or (lambda _: HookAnswer(204, "status 204"))
        self.sent: list[str] = []

    async def send(self, post: Post) -> HookAnswer:
        name = post.fields["webhook-id"]
        self.sent.append(name)
        return self.answer(name)


class FakeEvents:
    """Keeps the events that it is told."""

    def __init__(self, wanted: frozenset[EventType] = frozenset(EventType)) -> None:
        self.told: list[tuple[EventType, str, EventData]] = []
        self._wanted = wanted

    def wants(self, kind: EventType) -> bool:
        return kind in self._wanted

    async def tell(self, kind: EventType, subject: str, data: EventData) -> None:
        self.told.append((kind, subject, data))

    def sample(self, kind: EventType, subject: str, data: EventData) -> None:
        self.told.append((kind, subject, data))
