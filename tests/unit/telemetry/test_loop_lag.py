"""The lag of the event loop."""

import asyncio

import pytest

from gateway.telemetry.loop_lag import PERIOD_S, watch_lag


async def test_what_a_timer_is_late_is_told() -> None:
    """A timer that is early, as clocks of the loop are coarse, is not late."""
    now_s, told = 100.0, list[float]()
    late_s = iter((0.0, 0.5, -0.001))

    async def sleep(period_s: float) -> None:
        nonlocal now_s
        try:
            now_s += period_s + next(late_s)
        except StopIteration:
            raise asyncio.CancelledError from None

    with pytest.raises(asyncio.CancelledError):
        await watch_lag(told.append, lambda: now_s, sleep)
    assert [0.0, 0.5, 0.0] == [round(each, 9) for each in told]
    assert 0.25 == PERIOD_S
