"""
Services for a config that decides without effect: an explanation, or the candidate of ``--shadow``.

It reads the store and writes nothing, tells no other gateway anything, counts nothing, and ends no
tunnel.
"""

import time
from collections.abc import Callable
from contextlib import AsyncExitStack

from gateway.config.schema import Settings
from gateway.core.invalidation import InvalidationKind
from gateway.core.limit import Limit
from gateway.core.ports import Bus, Limiter
from gateway.explain.read_only import ReadOnlyStore
from gateway.proxy.tunnel.registry import TunnelRegistry
from gateway.ratelimit.census import Census
from gateway.ratelimit.local import LocalLimiter
from gateway.ratelimit.override_store import StoredOverrides
from gateway.ratelimit.overriding import OverridingLimiter
from gateway.ratelimit.shadow import ShadowLimiter
from gateway.runtime.process import ProcessServices
from gateway.telemetry.counters import Counters


class ListeningBus:
    """The port `Bus` in front of another one: it hears all, and tells nothing."""

    def __init__(self, inner: Bus) -> None:
        self._inner = inner

    async def publish(self, kind: InvalidationKind, name: str) -> None:
        """Tell nothing."""

    def on(self, kind: InvalidationKind, forget: Callable[[str], object]) -> Callable[[], None]:
        return self._inner.on(kind, forget)

    def on_missed(self, forget_all: Callable[[], object]) -> Callable[[], None]:
        return self._inner.on_missed(forget_all)


def quiet_services(process: ProcessServices, store: ReadOnlyStore) -> ProcessServices:
    """Return the services of ``process`` for a config that decides without effect."""
    counters = Counters()
    return process._replace(
        wire=process.wire._replace(counters=counters),
        store=store,
        bus=ListeningBus(process.bus),
        local=LocalLimiter(),
        census=Census(),
        tunnels=TunnelRegistry(process.wire.loop, time.time, counters),
        key_sets=dict(process.key_sets),
        known_lists=dict(process.known_lists),
        magic_logout=None,
        audit=None,
    )


def quiet_limiter(
    settings: Settings, inner: Limiter, store: ReadOnlyStore, stack: AsyncExitStack
) -> Limiter:
    """Put before ``inner`` what stands before the limiter in use; ``stack`` closes it."""
    built: Limiter = ShadowLimiter(inner, ignore_excess)
    if any(entry.overrides for entry in settings.limits.values()):
        overrides = StoredOverrides(store)
        stack.push_async_callback(overrides.aclose)
        built = OverridingLimiter(built, overrides)
    return built


def ignore_excess(_limit: Limit) -> None:
    """Report no excess of a limit with ``mode: shadow``: none has an effect here."""
