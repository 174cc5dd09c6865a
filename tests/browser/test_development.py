"""Development mode, as `gateway demo` runs it: no account with Magic, and no network."""

import asyncio
import os
import sys

import pytest
from playwright.async_api import expect

from tests.browser.conftest import chromium
from tests.fakes.process import START_TIMEOUT_S

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_signing_in_to_the_demo() -> None:
    """Sign in as any user, again and again, by any name of this machine; the app shows which."""
    demo = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "demo", "--port", "0"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={name: value for name, value in os.environ.items() if name != "REDIS_URL"},
    )
    try:
        assert demo.stderr is not None
        async with asyncio.timeout(START_TIMEOUT_S):
            while b"Gateway is running at " not in (line := await demo.stderr.readline()):
                assert line, "the demo did not start"
        url = line.decode().split()[4]
        async with chromium(0) as browser:
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
    finally:
        demo.terminate()
        await demo.communicate()
