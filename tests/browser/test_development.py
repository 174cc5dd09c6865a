"""Development mode, as `gateway demo` runs it: no account with Magic, and no network."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Route, expect

from tests.browser.conftest import chromium
from tests.fakes.process import START_TIMEOUT_S

pytestmark = pytest.mark.asyncio(loop_scope="module")


@asynccontextmanager
async def demo() -> AsyncIterator[str]:
    """Run the demo; yields its URL."""
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "demo", "--port", "0"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={name: value for name, value in os.environ.items() if name != "REDIS_URL"},
    )
    try:
        assert running.stderr is not None
        async with asyncio.timeout(START_TIMEOUT_S):
            while b"Gateway is running at " not in (line := await running.stderr.readline()):
                assert line, "the demo did not start"
        yield line.decode().split()[4]
    finally:
        running.terminate()
        await running.communicate()


async def test_signing_in_to_the_demo() -> None:
    """Sign in as any user, again and again, by any name of this machine; the app shows which."""
    async with demo() as url, chromium(0) as browser:
        page = await browser.new_page()
        await page.goto(url + "/me?x=1")
        await expect(page.get_by_text("Development mode")).to_be_visible()
        await page.get_by_label("Email address").fill("grace@example.com")
        await page.get_by_role("button", name="Sign in without proof").click()
        await page.wait_for_url(url + "/me?x=1")
        await expect(page.locator("body")).to_contain_text("grace@example.com")

        by_another_name = url.replace("127.0.0.1", "localhost")
        await page.context.clear_cookies()
        for attempt in range(7):
            await page.goto(by_another_name + f"/_gateway/login?return_to=/{attempt}")
            await page.get_by_label("Email address").fill("ada@example.com")
            await page.get_by_role("button", name="Sign in without proof").click()
            await page.wait_for_url(f"{url}/{attempt}")
            await expect(page.locator("body")).to_contain_text("ada@example.com")
            await page.context.clear_cookies()


async def test_a_first_login_that_is_not_set_up_in_time() -> None:
    """The page says so, and leads on a moment later."""
    async with demo() as url, chromium(0) as browser:
        page = await browser.new_page()

        async def unready(route: Route) -> None:
            answer = await route.fetch()
            described = {**await answer.json(), "first_login": "pending"}
            await route.fulfill(response=answer, json=described)

        await page.route("**/_gateway/session", unready)
        await page.goto(url + "/me")
        await page.get_by_label("Email address").fill("hopper@example.com")
        await page.get_by_role("button", name="Sign in without proof").click()
        await expect(page.get_by_text("still being set up")).to_be_visible()
        await page.wait_for_url(url + "/me")
        await expect(page.locator("body")).to_contain_text("hopper@example.com")
