"""Build what counts requests against limits, and what the config and operators say of callers."""

import time
from contextlib import AsyncExitStack

from gateway.config.schema import Settings
from gateway.core.invalidation import InvalidationKind
from gateway.core.ports import Limiter
from gateway.ratelimit.redis import RedisLimiter
from gateway.ratelimit.shadow import ExcessReport, ShadowLimiter
from gateway.runtime.process import ProcessServices
from gateway.telemetry.metrics import LIMIT_EXCESSES


def limiter(settings: Settings, process: ProcessServices, stack: AsyncExitStack) -> Limiter:
    """Build the limiter; ``stack`` closes it."""
    counted = RedisLimiter(process.store, process.local, time.time, process.census, process.bus)
    stack.push_async_callback(counted.aclose)
    stack.callback(process.bus.on(InvalidationKind.LIMIT, counted.forget))
    stack.callback(process.bus.on_missed(counted.forget_all))
    if all(entry.mode == "enforce" for entry in settings.limits.values()):
        return counted
    report = ExcessReport(process.wire.counters.labelled_events(LIMIT_EXCESSES))
    return ShadowLimiter(counted, report.note)
