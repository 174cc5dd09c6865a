"""Asks servers whether they are well."""

import asyncio
import logging
import random
from collections.abc import Callable
from typing import NamedTuple

from gateway.core.errors import Refusal
from gateway.proxy.upstream.connection import UpstreamConnection
from gateway.proxy.upstream.pool import Connect

_log = logging.getLogger(__name__)

_JITTER = 0.1
"""Of the interval: else all gateways would ask at the same moment."""
_GOOD = range(200, 400)


class HealthCheck(NamedTuple):
    """What is asked. Times in seconds."""

    path: str
    interval_s: float
    timeout_s: float


class HealthTarget(NamedTuple):
    """A server whose health is checked."""

    authority: str
    connect: Connect
    make: Callable[[], UpstreamConnection]
    """A connection that no pool knows."""


async def watch(check: HealthCheck, subject: HealthTarget, tell: Callable[[bool], None]) -> None:
    """Ask ``subject`` until cancelled; ``tell`` hears what came of it."""
    while True:
        tell(await is_well(check, subject))
        jitter = random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 (spreads load, guards nothing)
        await asyncio.sleep(check.interval_s * jitter)


async def is_well(check: HealthCheck, subject: HealthTarget) -> bool:
    """Whether the server answers, in time, that it is."""
    request = (
        f"GET {check.path} HTTP/1.1\r\nHost: {subject.authority}\r\n"
        "User-Agent: gateway-health\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    ).encode()
    connection: UpstreamConnection | None = None
    try:
        async with asyncio.timeout(check.timeout_s):
            connection = await subject.connect(subject.make)
            answer = await connection.ask(request, "GET", lambda _: None)
            return answer.message.code in _GOOD
    except (OSError, TimeoutError, Refusal):
        return False
    except Exception:  # noqa: BLE001 (checks go on, whatever a server makes of them)
        _log.exception("a health check failed")
        return False
    finally:
        if connection is not None:
            connection.finish()
            connection.abort()
