"""Sessions that are renewed while a page of theirs is open, and those that cannot be."""

import asyncio
import time
from functools import partial

import pytest
from playwright.async_api import Page, Request, expect

from tests.browser.conftest import ORIGIN, Site, signed_in
from tests.fakes.servers import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG_CHANGES = {"login": "{lifespan: 10m}", "more_session": ", require_attempt: true"}
"""A fifth of that before the end, it is renewed: on pages whose clock is put forward."""
DELAYS = """
window.delays = [];
const later = window.setTimeout;
window.setTimeout = (work, ms, ...more) => { delays.push(ms); return later(work, ms, ...more); };
"""
LIFESPAN_MS = 600_000
UNTIL_RENEWAL_MS = 485_000
WITHIN_S = 20


async def _has_waits(page: Page, count: int, least_ms: int = 60_000) -> bool:
    """Whether the page has begun to wait so often, so long; Magic's SDK waits for an hour."""
    script = "([low, high]) => delays.filter((ms) => low <= ms && ms < high).length"
    waits = await page.evaluate(script, [least_ms, LIFESPAN_MS])
    return bool(waits == count)


async def _waits(page: Page, count: int = 1, least_ms: int = 60_000) -> None:
    """Wait until the page has begun so often to wait for the time to renew."""
    await eventually(partial(_has_waits, page, count, least_ms), within_s=WITHIN_S)


async def _left_open(at: Site) -> Page:
    """A page of a person who has signed in, with a clock of its own."""
    page = await signed_in(at)
    await page.clock.install()
    await page.context.add_init_script(DELAYS)
    await page.reload()
    await _waits(page)
    return page


async def test_one_window_renews_for_all(at: Site) -> None:
    """The session goes on with a new token, which is exchanged once."""
    page = await _left_open(at)
    exchanges: list[str] = []

    def note(request: Request) -> None:
        if request.method == "POST" and "/_gateway/session" in request.url:
            exchanges.append(request.url)

    page.context.on("request", note)
    other = await page.context.new_page()
    await other.goto("/_gateway/account")
    await _waits(other)
    first_end = await page.locator("#until").get_attribute("datetime")
    await asyncio.sleep(1.05 - time.time() % 1)  # tokens end at whole seconds
    await page.clock.run_for(UNTIL_RENEWAL_MS)
    for window in (page, other):
        await _waits(window, 2)
    assert [ORIGIN + "/_gateway/session?renewal=true"] == exchanges
    await page.goto("/_gateway/account?again")
    assert first_end != await page.locator("#until").get_attribute("datetime")
    await expect(page.get_by_text(at.email)).to_be_visible()


_SKEWED = """
const now = Date.now;
Date.now = () => now() + %d;
"""


@pytest.mark.parametrize("skew_ms", [-3_600_000, 3_600_000])
async def test_a_browser_with_a_wrong_clock_renews_in_time(at: Site, skew_ms: int) -> None:
    """Not at once and again and again, which would use up the login attempts; and not too late."""
    page = await signed_in(at)
    other = await page.context.new_page()
    await page.close()
    await other.add_init_script(DELAYS + _SKEWED % skew_ms)
    await other.goto("/_gateway/account")
    await _waits(other)


async def test_who_is_logged_out_of_magic_is_told_of_the_end(at: Site) -> None:
    """The page hears of it before it happens, and can save what is being written."""
    page = await _left_open(at)
    at.relayer.who = ""
    await page.clock.run_for(UNTIL_RENEWAL_MS)
    await expect(page.get_by_role("status")).to_contain_text("ends soon")


async def test_no_attempt_is_spent_while_magic_is_out_of_reach(at: Site) -> None:
    """A page that is left open uses up no login attempts, however often it tries."""
    page = await _left_open(at)
    at.relayer.is_ready = False
    attempts: list[str] = []
    page.context.on("request", lambda asked: attempts.append(asked.url))
    opened = len(at.relayer.parameters)
    await page.clock.run_for(UNTIL_RENEWAL_MS)
    for tries in (1, 2):
        await eventually(partial(_has_asked, at, opened + tries), within_s=WITHIN_S)
        await page.clock.run_for(16_000)
        await _waits(page, 1 + tries, least_ms=20_000)
        await page.clock.run_for(20_000)
    assert [] == [url for url in attempts if url.endswith("/login/attempt")]


async def _has_asked(at: Site, times: int) -> bool:
    """Whether Magic's frame was opened so often."""
    return len(at.relayer.parameters) >= times
