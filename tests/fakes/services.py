"""The services of a process over a store in memory, for tests of what is built on them."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from gateway.config.load import parse
from gateway.config.schema import Settings
from gateway.proxy.tunnel.registry import TunnelRegistry
from gateway.ratelimit.census import Census
from gateway.ratelimit.leases import RedisLeases
from gateway.ratelimit.local import LocalLimiter
from gateway.runtime.process import Inherited, ProcessServices
from gateway.runtime.services.magic import magic_services
from gateway.runtime.services.process import wire_services
from gateway.store.bus import StoreBus
from tests.fakes.store import FakeStore

CONFIG = """
server: {{public_url: http://localhost, {server}}}
redis: {{url: "{redis}"}}
magic: {{mode: development}}
admin: null
{more}
"""

LISTEN = 'listen: ["127.0.0.1:0"]'

NO_LISTS = {"list_read": lambda _keys, _args: [b"0"]}
"""Scripts of a store without deny and allow lists of limits."""

INHERITED = Inherited(b"s" * 32, b"k" * 32)


def settings_of(more: str = "", *, server: str = LISTEN, redis: str = "embedded://") -> Settings:
    """The settings of a small config in development mode, with ``more`` lines of YAML."""
    return parse(CONFIG.format(more=more, server=server, redis=redis), "f", {}, str)


@asynccontextmanager
async def fake_process(
    settings: Settings, store: FakeStore | None = None
) -> AsyncIterator[ProcessServices]:
    """The services of a process whose store is ``store``."""
    async with AsyncExitStack() as stack:
        wire = wire_services()
        stack.callback(wire.deadlines.close)
        magic = await stack.enter_async_context(magic_services(settings, INHERITED))
        opened = FakeStore(time.time, NO_LISTS) if store is None else store
        yield ProcessServices(
            wire,
            opened,
            magic,
            LocalLimiter(),
            Census(),
            RedisLeases(opened),
            INHERITED.made_up_key,
            TunnelRegistry(wire.loop, time.time, wire.counters),
            StoreBus(opened),
            None,
            {},
            {},
        )
