"""Checks of what a gateway needs, for ``/readyz?verbose``."""

import asyncio
import time
from collections.abc import Iterator, Mapping

from gateway.admin.status import StatusCheck
from gateway.config.compile import DASHBOARD
from gateway.core.errors import StoreUnavailable
from gateway.core.ports import Store
from gateway.pages.routes import PAGES
from gateway.proxy.upstream.upstream import Upstream

_PING_S = 0.4
"""Time for the store to answer a ping; most of those who ask for readiness wait for a second."""


async def store_check(store: Store) -> StatusCheck:
    """Ask the store whether it answers."""
    began_s = time.monotonic()
    try:
        async with asyncio.timeout(_PING_S):
            await store.ping()
    except StoreUnavailable as error:
        return StatusCheck("store", False, error.reason)
    except TimeoutError:
        return StatusCheck("store", False, f"no answer within {_PING_S} s")
    return StatusCheck(
        "store", True, f"answered within {(time.monotonic() - began_s) * 1000:.1f} ms"
    )


def upstream_checks(upstreams: Mapping[str, Upstream]) -> Iterator[StatusCheck]:
    """Check each upstream: one without a usable server fails. The gateway's own is left out."""
    for name, upstream in upstreams.items():
        if name not in (PAGES, DASHBOARD):
            count = len(upstream.servers)
            usable = count - upstream.servers_out()
            yield StatusCheck(f"upstream {name}", usable > 0, f"{usable} of {count} servers usable")
