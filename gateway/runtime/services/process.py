"""Build the services that outlive a config."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from gateway.config.schema import Settings
from gateway.proxy.http1.write_batch import WriteBatcher
from gateway.proxy.tunnel.registry import TunnelRegistry
from gateway.proxy.upstream.connect import Resolver
from gateway.ratelimit.census import Census
from gateway.ratelimit.leases import RedisLeases
from gateway.ratelimit.local import LocalLimiter
from gateway.runtime.process import Inherited, ProcessServices, WireServices
from gateway.runtime.services.audit import process_audit
from gateway.runtime.services.magic import calls_to_magic, magic_logout, magic_services
from gateway.runtime.services.store import open_store, reads_lag, subscription
from gateway.runtime.services.tracing import traced_magic, traced_store, traces
from gateway.runtime.services.tunnels import watched_tunnels
from gateway.store.bus import StoreBus
from gateway.telemetry.counters import Counters
from gateway.telemetry.loop_lag import watch_lag
from gateway.telemetry.metrics import (
    BUS_MESSAGES,
    BUS_SUBSCRIPTIONS,
    EVENT_LOOP_LAG,
    STORE_DURATION,
    STORE_ERRORS,
    STORE_WRONG_REPLIES,
)
from gateway.util.background import background
from gateway.util.call_watch import CallWatch
from gateway.util.deadlines import Deadlines

_FIRST_SWEEP_S = 0.02
"""How often deadlines are looked at until the first config says it."""


@asynccontextmanager
async def process_services(
    settings: Settings, inherited: Inherited, store_url: str
) -> AsyncIterator[ProcessServices]:
    """
    Build the services of a process; what the first config says of them holds until it ends.

    Raises `StartError`, or `NotReached` where Magic has to be asked for the client id.
    """
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        tracing = await enter(traces(inherited.environ))
        wire = wire_services()
        stack.callback(wire.deadlines.close)
        on_wrong_reply = wire.counters.events(STORE_WRONG_REPLIES)
        counters = wire.counters
        exchanges = CallWatch(counters.timed(STORE_DURATION), counters.events(STORE_ERRORS))
        opened = await enter(open_store(store_url, settings, on_wrong_reply, exchanges))
        store = traced_store(opened, tracing)
        await enter(background(watch_lag(counters.timed(EVENT_LOOP_LAG))))
        audit = await enter(process_audit(settings, inherited.role, store, wire.counters))
        census = Census()
        stack.push_async_callback(census.leave, store)
        leases = RedisLeases(store)
        stack.push_async_callback(leases.aclose)
        client = await enter(magic_services(settings, inherited, calls_to_magic(wire.counters)))
        magic = traced_magic(client, tracing)
        tunnels = TunnelRegistry(wire.loop, time.time, wire.counters)
        bus = StoreBus(
            store,
            wire.counters.labelled_events(BUS_MESSAGES),
            wire.counters.events(BUS_SUBSCRIPTIONS),
        )
        logouts = await enter(magic_logout(settings, wire.counters, magic.skew))
        await enter(watched_tunnels(tunnels, store, bus, reads_lag=reads_lag(settings)))
        await enter(subscription(store_url, settings, bus))
        yield ProcessServices(
            wire,
            store,
            magic,
            LocalLimiter(),
            census,
            leases,
            inherited.made_up_key,
            tunnels,
            bus,
            logouts,
            {},
            {},
            inherited.counts,
            tracing,
            None,
            audit,
            inherited.dashboard_socket,
        )


def wire_services() -> WireServices:
    """Build what all connections share; ``deadlines`` has to be closed."""
    loop = asyncio.get_running_loop()
    deadlines = Deadlines(loop, _FIRST_SWEEP_S)
    return WireServices(loop, deadlines, WriteBatcher(loop), Counters(), Resolver(loop))
