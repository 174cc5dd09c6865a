"""The port `Bus`: within this process at once, and to all others by the store's pub/sub."""

from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress

from gateway.errors import StoreUnavailable
from gateway.invalidation import CHANNEL, Subject, encode
from gateway.ports import Bus, Store

Forget = Callable[[str], object]


class StoreBus:
    """Publishes through ``store``."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._listening: defaultdict[Subject, list[Forget]] = defaultdict(list)

    async def publish(self, subject: Subject, name: str) -> None:
        self.tell(subject, name)
        with suppress(StoreUnavailable):
            await self._store.publish(CHANNEL, encode(subject, name))

    def on(self, subject: Subject, forget: Forget) -> Callable[[], None]:
        self._listening[subject].append(forget)
        return lambda: self._listening[subject].remove(forget)

    def tell(self, subject: Subject, name: str) -> None:
        """Tell those who listen here."""
        for forget in tuple(self._listening[subject]):
            forget(name)


_: type[Bus] = StoreBus
