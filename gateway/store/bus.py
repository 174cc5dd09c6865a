"""Cache invalidations: within this process at once, to all others by the store's pub/sub."""

import logging
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress

from gateway.core.errors import StoreUnavailable
from gateway.core.invalidation import CHANNEL, InvalidationKind, decode, encode
from gateway.core.ports import Bus, Store

Forget = Callable[[str], object]
ForgetAll = Callable[[], object]

_log = logging.getLogger(__name__)


class StoreBus:
    """
    The port `Bus` over a `Store`; a `Subscriber` hands the messages of others to `receive`.

    Messages name what changed, but carry no state. So an attacker who can publish can only make
    gateways drop cached values and ask the store again.
    """

    def __init__(
        self,
        store: Store,
        on_message: Callable[[str], object] = lambda _kind: None,
        on_subscribed: Callable[[], object] = lambda: None,
    ) -> None:
        """``on_message`` counts messages by kind, ``on_subscribed`` subscriptions."""
        self._store = store
        self._on_message = on_message
        self._on_subscribed = on_subscribed
        self._subscribers: defaultdict[InvalidationKind, list[Forget]] = defaultdict(list)
        self._missed_callbacks: list[ForgetAll] = []

    async def publish(self, kind: InvalidationKind, name: str) -> None:
        self.notify(kind, name)
        with suppress(StoreUnavailable):
            await self._store.publish(CHANNEL, encode(kind, name))

    def on(self, kind: InvalidationKind, forget: Forget) -> Callable[[], None]:
        self._subscribers[kind].append(forget)
        return lambda: self._subscribers[kind].remove(forget)

    def on_missed(self, forget_all: ForgetAll) -> Callable[[], None]:
        self._missed_callbacks.append(forget_all)
        return lambda: self._missed_callbacks.remove(forget_all)

    def notify(self, kind: InvalidationKind, name: str) -> None:
        """Call the subscribers of this process."""
        for forget in tuple(self._subscribers[kind]):
            try:
                forget(name)
            except Exception:  # noqa: BLE001 (a subscriber that fails must not stop the others)
                _log.exception("a cache could not be invalidated")

    # --- messages from the store ---------------------------------------------------------------

    def receive(self, message: bytes) -> None:
        """
        Decode a published message and call the subscribers of this process.

        An empty one says nothing: gateways publish it to hear whether their subscription lives.
        """
        if not message:
            return
        decoded = decode(message)
        self._on_message(decoded[0] if decoded else "unreadable")
        if decoded is not None:
            self.notify(*decoded)

    def subscribed(self) -> None:
        """Note that the subscription is new: messages before it may have been missed."""
        self._on_subscribed()
        for forget_all in tuple(self._missed_callbacks):
            try:
                forget_all()
            except Exception:  # noqa: BLE001 (as above)
                _log.exception("a cache could not be invalidated")


_: type[Bus] = StoreBus
