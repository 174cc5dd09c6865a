"""What counts requests follows from the config."""

import time
from contextlib import AsyncExitStack

import pytest

from gateway.config.compile import limit
from gateway.runtime.services import limits
from gateway.telemetry.metrics import LIMIT_EXCESSES
from tests.fakes.services import fake_process, settings_of
from tests.fakes.store import FakeStore


@pytest.mark.parametrize(
    ("mode", "expected", "excesses"),
    [("enforce", [True, False, False], 0), ("shadow", [True, True, True], 2)],
)
async def test_a_limit_refuses_by_its_mode(mode: str, expected: list[bool], excesses: int) -> None:
    """A shadow limit lets all requests pass, and counts those that it would have refused."""
    settings = settings_of(f"limits: {{a: {{rate: 1/day, mode: {mode}}}}}")
    store = FakeStore(time.time)
    store.is_down = True  # counts here
    async with fake_process(settings, store) as process, AsyncExitStack() as stack:
        limiter = limits.limiter(settings, process, stack)
        one = limit("a", settings.limits["a"])
        assert expected == [(await limiter.spend(one, "x")).allowed for _ in range(3)]
        assert excesses == process.wire.counters.counts[LIMIT_EXCESSES, "a"]
