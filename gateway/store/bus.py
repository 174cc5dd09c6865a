"""The port `Bus`: within this process at once, and to all others by the store's pub/sub."""

import logging
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress

from gateway.core.errors import StoreUnavailable
from gateway.core.invalidation import (
    CHANNEL,
    InvalidationKind,
    decode,
    encode,
)
from gateway.core.ports import Bus, Store

Forget = Callable[[str], object]
ForgetAll = Callable[[], object]

_log = logging.getLogger(__name__)


class StoreBus:
    """
    Publishes through ``store``; what others publish is handed to `heard` by a `Subscriber`.

    Whoever can publish can make gateways forget, and so ask the store once more, and nothing else:
    no message says what is so.
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
        self._listening: defaultdict[InvalidationKind, list[Forget]] = defaultdict(list)
        self._wary: list[ForgetAll] = []

    async def publish(self, kind: InvalidationKind, name: str) -> None:
        self.tell(kind, name)
        with suppress(StoreUnavailable):
            await self._store.publish(CHANNEL, encode(kind, name))

    def on(self, kind: InvalidationKind, forget: Forget) -> Callable[[], None]:
        self._listening[kind].append(forget)
        return lambda: self._listening[kind].remove(forget)

    def on_missed(self, forget_all: ForgetAll) -> Callable[[], None]:
        self._wary.append(forget_all)
        return lambda: self._wary.remove(forget_all)

    def tell(self, kind: InvalidationKind, name: str) -> None:
        """Tell those who listen here."""
        for forget in tuple(self._listening[kind]):
            try:
                forget(name)
            except Exception:  # noqa: BLE001 (one that fails keeps no other from hearing)
                _log.exception("a memory could not forget")

    # --- what comes from the store -------------------------------------------------------------

    def heard(self, message: bytes) -> None:
        """Tell those who listen here what somebody has published."""
        told = decode(message)
        self._on_message(told[0] if told else "unreadable")
        if told is not None:
            self.tell(*told)

    def subscribed(self) -> None:
        """From here on all is heard; what was published until now was perhaps missed."""
        self._on_subscribed()
        for forget_all in tuple(self._wary):
            try:
                forget_all()
            except Exception:  # noqa: BLE001 (as above)
                _log.exception("a memory could not forget")


_: type[Bus] = StoreBus
