"""Post a signed event to an endpoint, to see whether it works."""

import time
from secrets import token_hex
from typing import Final, NamedTuple

from gateway.config.schema import Settings
from gateway.core.event import Event, EventType
from gateway.hooks.attempts import HookAnswer, Verdict, verdict
from gateway.hooks.cloud_event import encode
from gateway.hooks.destination import Destinations
from gateway.hooks.endpoint import HookEndpoint
from gateway.hooks.in_process import SCHEME
from gateway.hooks.sender import Post, Sender
from gateway.runtime.services.hooks import function

NO_PERSON: Final = "did:ethr:0x0000000000000000000000000000000000000000"


class Trial(NamedTuple):
    """What came of it."""

    event_id: str
    answer: HookAnswer
    took_ms: int

    @property
    def is_delivered(self) -> bool:
        """Whether the endpoint has taken the event."""
        return verdict(self.answer) is Verdict.DELIVERED


async def try_endpoint(settings: Settings, endpoint: HookEndpoint, now_s: float) -> Trial:
    """
    Post an event of a kind that the endpoint hears of, whose data says that it is a test.

    A function runs here. Raises `StartError` where no package offers it.
    """
    kind = min(endpoint.events or EventType)
    event = Event(f"test-{token_hex(12)}", kind, NO_PERSON, int(now_s * 1000), {"test": True})
    body = encode(event, settings.server.public_url)
    fields = endpoint.signer.fields(event.id, now_s, body)
    began_s, post = time.perf_counter(), Post(endpoint.url, fields, body)
    if endpoint.url.startswith(SCHEME):
        answer = await function(settings, endpoint.name).send(post)
    else:
        destinations = Destinations(settings.hooks.allow_private)
        async with Sender(destinations, settings.hooks.timeout_s) as sender:
            answer = await sender.send(post)
    return Trial(event.id, answer, round((time.perf_counter() - began_s) * 1000))
