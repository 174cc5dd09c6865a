"""Builds what the command line explains by: the services of a config, beside running gateways."""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

from gateway.config.schema import Settings
from gateway.core.errors import StartError
from gateway.core.ports import Store
from gateway.explain.read_only import UnreachableStore
from gateway.proxy.tunnel.registry import TunnelRegistry
from gateway.proxy.upstream.upstream import Upstream
from gateway.ratelimit.census import Census
from gateway.ratelimit.leases import RedisLeases
from gateway.ratelimit.local import LocalLimiter
from gateway.runtime.process import ProcessServices, standalone
from gateway.runtime.services.magic import magic_services
from gateway.runtime.services.process import wire_services
from gateway.runtime.services.store import shared_store
from gateway.runtime.services.upstreams import upstreams
from gateway.store.bus import StoreBus


class CommandServices(NamedTuple):
    """What the command line explains by."""

    process: ProcessServices
    upstreams: Mapping[str, Upstream]


@asynccontextmanager
async def command_services(settings: Settings) -> AsyncIterator[CommandServices]:
    """
    Build what an explanation needs, over the store that running gateways use.

    Raises `StartError` for a part that cannot be used, and `NotReached` where Magic has to be asked
    for the client id.
    """
    inherited = standalone()
    async with AsyncExitStack() as stack:
        wire = wire_services()
        stack.callback(wire.deadlines.close)
        store: Store
        try:
            store = (await stack.enter_async_context(shared_store(settings))).store
        except StartError as error:
            store = UnreachableStore(str(error))
        magic = await stack.enter_async_context(magic_services(settings, inherited))
        leases = RedisLeases(store)
        stack.push_async_callback(leases.aclose)
        reached = upstreams(settings, wire)
        for upstream in reached.values():
            stack.push_async_callback(upstream.aclose)
        process = ProcessServices(
            wire,
            store,
            magic,
            LocalLimiter(),
            Census(),
            leases,
            inherited.made_up_key,
            TunnelRegistry(wire.loop, time.time, wire.counters),
            StoreBus(store),
            None,
            {},
            {},
        )
        yield CommandServices(process, reached)
