"""Signing in, as a person does it."""

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import EMAIL, ORIGIN, Site
from tests.fakes.relayer import CODE

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def ask_for(page: Page, button: str, email: str = EMAIL) -> None:
    """Write the address and press ``button``."""
    await page.get_by_label("Email address").fill(email)
    await page.get_by_role("button", name=button).click()


async def test_one_time_code(at: Site) -> None:
    """The code from the email opens a session."""
    page = await at.page()
    await ask_for(page, "Email me a code")
    await page.get_by_label("Code").fill(CODE)
    await page.get_by_role("button", name="Continue").click()
    await page.wait_for_url(ORIGIN + "/")
    assert [EMAIL] == at.world.app.seen[-1].values("X-User-Email")


async def test_magic_link(at: Site) -> None:
    """The link from the email opens one in the window that it opens, and the first one goes on."""
    page = await at.page()
    await ask_for(page, "Email me a link")
    await expect(page.get_by_role("status")).to_contain_text("sent a link to " + EMAIL)
    other = await page.context.new_page()
    await other.goto(await at.relayer.link())
    await other.wait_for_url(ORIGIN + "/")
    await page.wait_for_url(ORIGIN + "/")
