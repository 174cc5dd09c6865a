"""Build what has replicas confirm sign-ins, where the config asks for that."""

import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import inf
from typing import Final

from gateway.config.schema import Settings
from gateway.core.ports import Store
from gateway.hooks.outbox import LOGIN
from gateway.runtime.services.store import confirmation, confirming
from gateway.telemetry.counters import Counters
from gateway.telemetry.metrics import SIGN_INS_UNCONFIRMED

WARN_EVERY_S: Final = 10.0
"""Least time between two warnings."""

_log = logging.getLogger("gateway.hooks")


class Missed:
    """Counts sign-ins that were not confirmed, and warns of what was not, once in a while."""

    def __init__(self, counters: Counters) -> None:
        self._count = counters.events(SIGN_INS_UNCONFIRMED)
        self._warned_at_s = -inf

    def __call__(self, script: str, cause: str) -> None:
        if script == LOGIN.name:
            self._count()
        now_s = time.monotonic()
        if now_s - self._warned_at_s >= WARN_EVERY_S:
            self._warned_at_s = now_s
            _log.warning("not confirmed by replicas, a failover may lose it: %s: %s", script, cause)


@asynccontextmanager
async def confirming_store(settings: Settings, counters: Counters) -> AsyncIterator[Store | None]:
    """Open the store in which replicas confirm what scripts write; None where none is to."""
    confirm = confirmation(settings)
    if confirm is None:
        yield None
        return
    async with confirming(settings, confirm._replace(on_missed=Missed(counters))) as store:
        yield store
