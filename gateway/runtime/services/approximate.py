"""Build what counts limits with ``approximate: true``."""

from contextlib import AsyncExitStack

from gateway.config.schema import Settings
from gateway.core.ports import Limiter
from gateway.ratelimit.approximate import ApproximateLimiter
from gateway.ratelimit.mixed import MixedLimiter
from gateway.runtime.process import ProcessServices


def with_approximate(
    exact: Limiter, settings: Settings, process: ProcessServices, stack: AsyncExitStack
) -> Limiter:
    """Return ``exact``, or where the config has approximate limits, a limiter of both kinds."""
    if not any(entry.approximate for entry in settings.limits.values()):
        return exact
    approximate = ApproximateLimiter(process.store, process.local, exact)
    stack.push_async_callback(approximate.aclose)
    return MixedLimiter(exact, approximate)
