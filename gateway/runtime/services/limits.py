"""Build what counts requests against limits, and what the config and operators say of callers."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from functools import partial
from typing import NamedTuple

from gateway.authn.failure_limit import DEFAULT_LIMIT
from gateway.config.compile import LOGIN
from gateway.config.limits import ListPath
from gateway.config.schema import Settings
from gateway.core.invalidation import InvalidationKind
from gateway.core.ports import Leases, Limiter
from gateway.ratelimit import list_file
from gateway.ratelimit.counted import CountedLeases, CountedLimiter
from gateway.ratelimit.entry import Entry
from gateway.ratelimit.list_file import ListFile
from gateway.ratelimit.list_store import ListWatch, StoredLists
from gateway.ratelimit.lists import LimitLists, ListKind
from gateway.ratelimit.matcher import Matcher
from gateway.ratelimit.override_store import StoredOverrides
from gateway.ratelimit.overriding import OverridingLimiter
from gateway.ratelimit.redis import RedisLimiter
from gateway.ratelimit.shadow import ExcessReport, ShadowLeases, ShadowLimiter
from gateway.runtime.process import ProcessServices
from gateway.runtime.services.approximate import with_approximate
from gateway.telemetry.metrics import LIMIT_EXCESSES
from gateway.util.background import background


def limiter(settings: Settings, process: ProcessServices, stack: AsyncExitStack) -> Limiter:
    """Build the limiter; ``stack`` closes and unsubscribes it."""
    counted = RedisLimiter(process.store, process.local, time.time, process.census, process.bus)
    stack.push_async_callback(counted.aclose)
    stack.callback(process.bus.on(InvalidationKind.LIMIT, counted.forget))
    stack.callback(process.bus.on_missed(counted.forget_all))
    built = with_approximate(counted, settings, process, stack)
    limits = settings.limits.values()
    if any(entry.mode == "shadow" and entry.concurrent is None for entry in limits):
        built = ShadowLimiter(built, _report(process).note)
    if any(entry.overrides for entry in limits):
        built = OverridingLimiter(built, _overrides(process, stack))
    return CountedLimiter(built, process.wire.counters.limits)


def leases(settings: Settings, process: ProcessServices) -> Leases:
    """Return what counts requests that are under way; that is of the process, not of a config."""
    built: Leases = process.leases
    limits = settings.limits.values()
    if any(entry.mode == "shadow" and entry.concurrent is not None for entry in limits):
        built = ShadowLeases(process.leases, _report(process).note)
    return CountedLeases(built, process.wire.counters.limits)


def _report(process: ProcessServices) -> ExcessReport:
    return ExcessReport(process.wire.counters.labelled_events(LIMIT_EXCESSES))


def _overrides(process: ProcessServices, stack: AsyncExitStack) -> StoredOverrides:
    overrides = StoredOverrides(process.store)
    stack.push_async_callback(overrides.aclose)
    stack.callback(process.bus.on(InvalidationKind.LIMIT, overrides.forget))
    stack.callback(process.bus.on_missed(overrides.forget_all))
    return overrides


def limit_names(settings: Settings) -> tuple[str, ...]:
    """Return the names of all limits; those that apply without being written are among them."""
    return tuple(dict.fromkeys((*settings.limits, LOGIN, DEFAULT_LIMIT.name)))


async def limit_lists(
    settings: Settings, process: ProcessServices, stack: AsyncExitStack
) -> LimitLists:
    """
    Build the deny and allow lists, and keep them up to date until ``stack`` is closed.

    Raises `StartError` for a file that cannot be used. Lists of a store that is down are read when
    it is back.
    """
    lists = configured_lists(settings)
    found = [
        ListFile(path, partial(lists.put, limit, kind, path))
        for limit, kind, _, path in list_files(settings)
    ]
    await asyncio.to_thread(_load, found)
    stored = StoredLists(process.store)
    watch = ListWatch(lists, stored, limit_names(settings), process.known_lists)
    stack.callback(process.bus.on(InvalidationKind.LIMIT_LIST, watch.changed))
    stack.callback(process.bus.on_missed(watch.changed))
    await watch.refresh()
    await stack.enter_async_context(background(watch.watch()))
    if found:
        await stack.enter_async_context(background(list_file.watch(found)))
    return lists


def _load(found: list[ListFile]) -> None:
    for file in found:
        file.load()


# --- used by the command line too -----------------------------------------------------------------


def configured_lists(settings: Settings) -> LimitLists:
    """Build the lists by the entries that stand in the config itself."""
    lists = LimitLists()
    for limit, entry in settings.limits.items():
        for kind in ListKind:
            entries = [each for each in getattr(entry, kind) if isinstance(each, Entry)]
            lists.put(limit, kind, "config", Matcher(entries))
    return lists


class ConfiguredFile(NamedTuple):
    """A file of a list, and where the config names it."""

    limit: str
    kind: ListKind
    place: int
    path: str


def list_files(settings: Settings) -> Iterator[ConfiguredFile]:
    """Iterate over the files of lists."""
    for limit, entry in settings.limits.items():
        for kind in ListKind:
            for place, each in enumerate(getattr(entry, kind)):
                if isinstance(each, ListPath):
                    yield ConfiguredFile(limit, kind, place, each.path)
