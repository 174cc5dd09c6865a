"""Active health checks of servers."""

import asyncio
import logging
import random
from collections.abc import Callable
from typing import NamedTuple

from gateway.core.errors import Refusal
from gateway.proxy.upstream.connection import UpstreamConnection
from gateway.proxy.upstream.pool import Connect, connected

_log = logging.getLogger(__name__)

_JITTER = 0.1
"""Part of the interval: else all gateways would check at the same moment."""
_HEALTHY_STATUS = range(200, 400)


class HealthCheck(NamedTuple):
    """Request and intervals of a health check. Times in seconds."""

    path: str
    interval_s: float
    timeout_s: float


class HealthTarget(NamedTuple):
    """A server whose health is checked."""

    authority: str
    connect: Connect
    make: Callable[[], UpstreamConnection]
    """Makes a connection outside the pool."""


async def watch(
    check: HealthCheck, target: HealthTarget, tell: Callable[[str | None], None]
) -> None:
    """Check ``target`` until cancelled; call ``tell`` with each result, see `fault_of`."""
    while True:
        tell(await fault_of(check, target))
        jitter = random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 (spreads load, guards nothing)
        await asyncio.sleep(check.interval_s * jitter)


async def fault_of(check: HealthCheck, target: HealthTarget) -> str | None:
    """Return None for a server that answers in time with a status below 400, else why not."""
    request = (
        f"GET {check.path} HTTP/1.1\r\nHost: {target.authority}\r\n"
        "User-Agent: gateway-health\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    ).encode()
    connection: UpstreamConnection | None = None
    try:
        async with asyncio.timeout(check.timeout_s):
            connection = await connected(target.connect, target.make)
            answer = await connection.ask(request, "GET", lambda _: None)
            status = answer.status
            return None if status in _HEALTHY_STATUS else f"got {status} from {check.path}"
    except TimeoutError:
        return f"no answer from {check.path} within {check.timeout_s:g} s"
    except (OSError, Refusal) as error:
        return str(error) or type(error).__name__
    except Exception as error:  # noqa: BLE001 (an unexpected error must not end the checks)
        _log.exception("a health check failed")
        return type(error).__name__
    finally:
        if connection is not None:
            connection.finish()
            connection.abort()
