"""Records events: those of changes with the changes, and others by themselves."""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from types import MappingProxyType
from typing import Final, NamedTuple

from gateway.core.errors import OutboxFull, StoreUnavailable
from gateway.core.event import Event, EventType, Notice
from gateway.core.event_ports import EventData, Events, SignIns, ToldChanges
from gateway.core.identity import Browser, Identity
from gateway.core.ports import Clock, Script
from gateway.hooks.cloud_event import encode
from gateway.hooks.outbox import Outbox
from gateway.sessions.marks import mark_of
from gateway.sessions.seal import public_id

SAMPLE_S: Final = 1.0
"""Of the events that clients can cause without end, one is recorded in so long, and counted."""

_log = logging.getLogger(__name__)


class Heard(NamedTuple):
    """What is called as events are recorded, and as they are not."""

    recorded: Callable[[EventType], object] = lambda _: None
    lost: Callable[[EventType], object] = lambda _: None
    """The outbox had no room for it, or the store was away."""
    full: Callable[[], object] = lambda: None
    """A first sign-in was refused, as its event found no room."""


_UNHEARD = Heard()


class EventRecorder:
    """The ports `SignIns`, `ToldChanges` and `Events` over an outbox, for what endpoints want."""

    def __init__(
        self,
        outbox: Outbox,
        origin: str,
        wanted: frozenset[EventType],
        heard: Heard = _UNHEARD,
        clock: Clock = time.time,
        endpoints: Mapping[EventType, str] = MappingProxyType({}),
    ) -> None:
        """
        ``origin`` is that of the gateway, as people see it: the source of its events.

        ``endpoints`` names those that want a kind of events, with commas between: they are recorded
        with each event, for those who hand it on and do not know all of them yet.
        """
        self._outbox = outbox
        self._origin = origin
        self._wanted = wanted
        self._heard = heard
        self._clock = clock
        self._endpoints = endpoints
        self._sampled: dict[EventType, _Sample] = {}
        self._recording: set[asyncio.Task[None]] = set()

    # --- sign-ins ------------------------------------------------------------------------------

    async def record(self, identity: Identity, browser: Browser, session_key: str) -> bool:
        first_id = self._first_id_of(identity)
        login = first = b""
        if EventType.LOGIN in self._wanted:
            told = {**_described(identity), "session": public_id(session_key)}
            told |= {"device": browser.device or None, "ip": browser.address or None}
            login = self._event(_login_id_of(identity), EventType.LOGIN, identity, told)
        if EventType.FIRST_LOGIN in self._wanted:
            told = _described(identity)
            first = self._event(first_id, EventType.FIRST_LOGIN, identity, told)
        issuer = identity.user.issuer
        try:
            done = await self._outbox.sign_in(
                mark_of(identity),
                identity.expires_at_ms,
                issuer,
                first_id,
                login,
                first,
                self._named(EventType.LOGIN),
                self._named(EventType.FIRST_LOGIN),
            )
        except OutboxFull:
            self._heard.full()
            raise
        if done.is_new and login:
            heard = self._heard.lost if done.is_login_lost else self._heard.recorded
            heard(EventType.LOGIN)
        if done.is_new and done.is_first and first:
            self._heard.recorded(EventType.FIRST_LOGIN)
        return done.is_new

    async def take_back(self, identity: Identity) -> None:
        await self._outbox.take_back(mark_of(identity), identity.user.issuer)

    def _event(self, event_id: str, kind: EventType, identity: Identity, data: EventData) -> bytes:
        return self._encoded(event_id, kind, identity.user.issuer, data)

    def _first_id_of(self, identity: Identity) -> str:
        """
        Derive the id of a first sign-in from the person: there is one.

        A failover may lose it when an endpoint has heard of it already. Made again, by another
        token, it has the same id, and is dropped as a repeat.
        """
        return _id_of(EventType.FIRST_LOGIN, self._origin, identity.user.issuer)

    # --- other changes -------------------------------------------------------------------------

    def wanted(self, notices: Sequence[Notice]) -> Sequence[Notice]:
        return [notice for notice in notices if notice.kind in self._wanted]

    async def make(
        self,
        change: Script,
        key: str,
        args: Sequence[str | int | bytes],
        notices: Sequence[Notice],
    ) -> object:
        told = self.wanted(notices)
        events = [
            (self._encoded(_notice_id_of(notice), *notice), self._named(notice.kind))
            for notice in told
        ]
        done = await self._outbox.change(change, key, args, events)
        for number, notice in enumerate(told if done.recorded >= 0 else ()):
            heard = self._heard.recorded if number < done.recorded else self._heard.lost
            heard(notice.kind)
        return done.reply

    # --- others --------------------------------------------------------------------------------

    def wants(self, kind: EventType) -> bool:
        return kind in self._wanted

    async def tell(self, kind: EventType, subject: str, data: EventData) -> None:
        if kind not in self._wanted:
            return
        event = self._encoded(_random_id(), kind, subject, data)
        try:
            found_room = await self._outbox.record(
                [event], are_sampled=kind.is_sampled, endpoints=self._named(kind)
            )
        except StoreUnavailable as error:
            _log.warning("an event %s was not recorded: %s", kind, error.reason)
            found_room = 0
        (self._heard.recorded if found_room else self._heard.lost)(kind)

    def sample(self, kind: EventType, subject: str, data: EventData) -> None:
        """
        Record one event of this kind a second; ``count`` says how many there were.

        It tells of the latest, and counts those since the one before.
        """
        if kind not in self._wanted:
            return
        now_s, sample = self._clock(), self._sampled.setdefault(kind, _Sample())
        sample.count += 1
        if 0 <= now_s - sample.told_s < SAMPLE_S:
            return
        data = {**data, "count": sample.count}
        sample.told_s, sample.count = now_s, 0
        task = asyncio.get_running_loop().create_task(self.tell(kind, subject, data))
        self._recording.add(task)
        task.add_done_callback(self._recording.discard)

    async def aclose(self) -> None:
        """Wait for events that are being recorded, and leave none to be swept up."""
        if self._recording:
            await asyncio.wait(self._recording)
        await self._outbox.settle()

    def _named(self, kind: EventType) -> str:
        return self._endpoints.get(kind, "")

    def _encoded(self, event_id: str, kind: EventType, subject: str, data: EventData) -> bytes:
        event = Event(event_id, kind, subject, int(self._clock() * 1000), data)
        return encode(event, self._origin)


class _Sample:
    """When an event of a kind was told last, and how many there were since."""

    __slots__ = ("count", "told_s")

    def __init__(self) -> None:
        self.told_s = float("-inf")
        self.count = 0


def _login_id_of(identity: Identity) -> str:
    """Derive the id of a sign-in from the token: a repeat of it is no other event."""
    return _id_of(EventType.LOGIN, identity.user.issuer, identity.token_id)


def _id_of(*parts: str) -> str:
    """Derive the id of an event from what it is of; it reveals nothing of that."""
    text = "\0".join(parts)
    return f"evt_{sha256(text.encode()).hexdigest()[:32]}"


def _notice_id_of(notice: Notice) -> str:
    """Make the id of an event; one about one session has the same each time."""
    session = notice.data.get("session")
    if session is None:
        return _random_id()
    return _id_of(notice.kind, notice.subject, str(session))


def _random_id() -> str:
    return f"evt_{secrets.token_hex(16)}"


def _described(identity: Identity) -> dict[str, str | int | None]:
    user = identity.user
    return {
        "email": user.email,
        "phone": user.phone,
        "public_address": user.public_address,
        "oauth_provider": user.oauth_provider,
    }


_: type[SignIns] = EventRecorder
__: type[Events] = EventRecorder
___: type[ToldChanges] = EventRecorder
