"""From settings to the apps behind the gateway."""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from gateway.config.schema import Settings, UpstreamSettings
from gateway.proxy.deadlines import Deadlines
from gateway.proxy.outbox import Outbox
from gateway.proxy.pool import Connect, UpstreamPool
from gateway.proxy.upstream import UpstreamConnection
from gateway.proxy.upstreams import Rules, Upstream
from gateway.telemetry.tally import Tally

_PAGES_CONNECTIONS = 64


class Shared(NamedTuple):
    """What all connections of a process share."""

    loop: asyncio.AbstractEventLoop
    deadlines: Deadlines
    outbox: Outbox
    tally: Tally


def upstreams(settings: Settings, shared: Shared) -> dict[str, Upstream]:
    """The upstreams of ``settings``, by name; to be started and closed by whoever asked."""
    return {name: _upstream(name, entry, shared) for name, entry in settings.upstreams.items()}


def pages(name: str, connect: Connect, shared: Shared) -> Upstream:
    """The gateway's own pages, as one more upstream."""
    pool = _pool(connect, shared, _PAGES_CONNECTIONS)
    return Upstream(name, [(name, pool)], Rules(), shared.loop, shared.tally.add)


def _upstream(name: str, entry: UpstreamSettings, shared: Shared) -> Upstream:
    pools = [
        (str(server), _pool(_connector(shared.loop, *server), shared, entry.connections))
        for server in entry.servers
    ]
    return Upstream(name, pools, Rules(), shared.loop, shared.tally.add)


def _pool(connect: Connect, shared: Shared, connections: int) -> UpstreamPool:
    loop, deadlines, outbox, _ = shared
    return UpstreamPool(loop, connect, deadlines, outbox, connections)


def _connector(loop: asyncio.AbstractEventLoop, host: str, port: int) -> Connect:
    async def connect_to(make: Callable[[], UpstreamConnection]) -> UpstreamConnection:
        _, protocol = await loop.create_connection(make, host, port)
        return protocol

    return connect_to
