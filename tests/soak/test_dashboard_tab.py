"""
A tab of the dashboard in Chromium that is open for a day: 86 400 events through its own handlers.

What it holds after its garbage was collected is the same at a tenth, a half and the end of the day.
DASHBOARD_EVENTS sets another number.
"""

import os
import time

import pytest

from tests.browser.conftest import CHROMIUM, chromium
from tests.fakes.dashboard_tab import opened_tab

EVENTS = int(os.environ.get("DASHBOARD_EVENTS", "86400"))
GROWTH_BYTES = 512 << 10
"""Less than six bytes for each second."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is needed"),
]


async def test_a_tab_that_is_open_for_a_day_holds_what_it_held_in_the_morning() -> None:
    """Neither heap, nor elements, nor listeners grow."""
    found, sent = [], 0
    async with chromium(1) as browser, opened_tab(await browser.new_page()) as tab:
        began_s = time.monotonic()
        for part in (0.1, 0.5, 1.0):
            await tab.live(int(EVENTS * part) - sent)
            sent = int(EVENTS * part)
            found.append(await tab.memory())
            seconds = time.monotonic() - began_s
            print(f"{sent} events in {seconds:.0f} s: {found[-1]}", flush=True)  # noqa: T201
    morning, _, evening = found
    assert GROWTH_BYTES > evening.heap_bytes - morning.heap_bytes
    assert (morning.nodes, morning.listeners) == (evening.nodes, evening.listeners)
