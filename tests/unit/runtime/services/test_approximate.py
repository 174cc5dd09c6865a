"""Which limiter a config gets."""

import time
from contextlib import AsyncExitStack

import pytest

from gateway.config.compile import limit
from gateway.ratelimit.local import LocalLimiter
from gateway.ratelimit.mixed import MixedLimiter
from gateway.runtime.services.approximate import with_approximate
from tests.fakes.limit_server import LimitServer
from tests.fakes.memory import FakeClock
from tests.fakes.services import fake_process, settings_of
from tests.fakes.store import FakeStore


@pytest.mark.parametrize(
    ("limits", "is_mixed"),
    [
        pytest.param("{a: {rate: 3/hour}, b: {concurrent: 1}}", False, id="exact"),
        pytest.param("{a: {rate: 3/hour}, b: {rate: 3/hour, approximate: true}}", True, id="both"),
    ],
)
async def test_a_config_without_approximate_limits_costs_nothing_more(
    limits: str, is_mixed: bool
) -> None:
    """The exact limiter is asked directly."""
    settings, exact = settings_of(f"limits: {limits}"), LocalLimiter()
    async with AsyncExitStack() as stack, fake_process(settings) as process:
        made = with_approximate(exact, settings, process, stack)
        assert is_mixed == isinstance(made, MixedLimiter)
        assert is_mixed or made is exact


async def test_what_was_admitted_is_charged_when_the_config_ends() -> None:
    """The stack closes the limiter."""
    settings = settings_of("limits: {hot: {rate: 100/hour, approximate: true}}")
    server = LimitServer(FakeClock(time.time()))
    store = FakeStore(time.time, server.scripts)
    async with fake_process(settings, store) as process:
        async with AsyncExitStack() as stack:
            made = with_approximate(LocalLimiter(), settings, process, stack)
            hot = limit("hot", settings.limits["hot"])
            assert (await made.spend(hot, "a")).allowed
        assert 1 == sum(server.counts.values())
