"""Sessions that are renewed while a page of theirs is open, and those that cannot be."""

import pytest
from playwright.async_api import Request, expect

from tests.browser.conftest import ORIGIN, Site, signed_in

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG_CHANGES = {"login": "{lifespan: 10s}", "more_session": ", require_attempt: true"}
"""A fifth of that before the end, it is renewed."""


async def test_one_window_renews_for_all(at: Site) -> None:
    """The session goes on with a new token, which is exchanged once."""
    page = await signed_in(at)
    exchanges: list[str] = []

    def note(request: Request) -> None:
        if request.method == "POST" and "/_gateway/session" in request.url:
            exchanges.append(request.url)

    page.context.on("request", note)
    other = await page.context.new_page()
    await other.goto("/_gateway/account")
    first_end = await page.locator("#until").get_attribute("datetime")
    await page.wait_for_timeout(9_500)
    assert [ORIGIN + "/_gateway/session?renewal=true"] == exchanges
    await page.wait_for_timeout(1_500)
    await page.goto("/_gateway/account?again")
    assert first_end != await page.locator("#until").get_attribute("datetime")
    await expect(page.get_by_text(at.email)).to_be_visible()


async def test_who_is_logged_out_of_magic_is_told_of_the_end(at: Site) -> None:
    """The page hears of it before it happens, and can save what is being written."""
    page = await signed_in(at)
    at.relayer.who = ""
    await expect(page.get_by_role("status")).to_contain_text("ends soon")


async def test_no_attempt_is_spent_while_magic_is_out_of_reach(at: Site) -> None:
    """A page that is left open uses up no login attempts."""
    page = await signed_in(at)
    at.relayer.is_ready = False
    attempts: list[str] = []
    page.context.on("request", lambda asked: attempts.append(asked.url))
    await page.reload()
    await page.wait_for_timeout(10_500)
    assert [] == [url for url in attempts if url.endswith("/login/attempt")]
