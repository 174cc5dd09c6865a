"""
Pictures of the dashboard after some minutes of traffic, for docs/images.

    make screenshots

SCREENSHOTS_S says how long the traffic runs before the first one.
"""

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from gateway.authn.did_token.mint import TokenSigner
from tests.browser.conftest import chromium
from tests.browser.test_looks import PICTURES, SCHEMES, WIDTHS
from tests.fakes.http import fetch
from tests.fakes.tokens import ALICE, BOB, minted
from tests.fakes.upstream import Answer, Seen
from tests.fakes.world import ADMIN, World, world

TRAFFIC_S = float(os.environ.get("SCREENSHOTS_S", "180"))

CONFIG_CHANGES = {
    "admin": ADMIN,
    "workers": "2",
    "client_ip": "x-forwarded-for",
    "trusted_proxies": '["127.0.0.1/32"]',
    "more_limits": "  api: {rate: 400/minute}\n  exports: {rate: 3/day}\n",
    "more_routes": """
  - {name: api, match: {path: "/api/*"}, auth: none, limits: [api], upstream: app}
  - {name: exports, match: {path: "/exports/*"}, auth: none, limits: [exports], upstream: app}
""",
}
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BROKEN = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
PATHS = {"/api/prices": 50, "/api/orders": 25, "/public/app.js": 20, "/account": 8, "/missing": 2}
LAPTOP = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile Safari/604.1"
PEOPLE = (
    (ALICE, "ada@example.com", "203.0.113.9", LAPTOP),
    (BOB, "grace@example.com", "198.51.100.40", PHONE),
)


def _app(mean_s: float, broken: float = 0.0) -> Answer:
    """Answers as apps do: most at once, some late, and few not at all."""

    async def answer(_: Seen, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(min(random.expovariate(1 / mean_s), 2.0))
        writer.write(BROKEN if random.random() < broken else HEAD)
        await writer.drain()

    return answer


@asynccontextmanager
async def _busy(at: World) -> AsyncIterator[None]:
    """Traffic of a dozen clients until the pictures are taken."""
    for path, mean_s, broken in (
        ("/api/prices", 0.02, 0.0),
        ("/api/orders", 0.08, 0.004),
        ("/account", 0.04, 0.0),
    ):
        at.app.answers[path] = _app(mean_s, broken)
    cookies = [
        await _signed_in(at, who, email, f"X-Forwarded-For: {address}", f"User-Agent: {agent}")
        for who, email, address, agent in PEOPLE
    ]

    async def client(number: int) -> None:
        address = f"X-Forwarded-For: 203.0.113.{number}"
        while True:
            [path] = random.choices([*PATHS], [*PATHS.values()])
            fields = [random.choice(cookies)] if path == "/account" else []
            await fetch(at.port, "GET", path, address, *fields)
            await asyncio.sleep(random.expovariate(1.5 + number / 8))

    async def exporter() -> None:
        while True:
            await fetch(at.port, "GET", "/exports/2026", "X-Forwarded-For: 203.0.113.77")
            await asyncio.sleep(9)

    tasks = [asyncio.create_task(client(each)) for each in range(4, 16)]
    tasks.append(asyncio.create_task(exporter()))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(each, asyncio.CancelledError) for each in ended)


async def _signed_in(at: World, who: TokenSigner, email: str, *fields: str) -> str:
    at.magic.add_user(who.issuer, email)
    bearer = f"Authorization: Bearer {minted(time.time(), who, 900)}"
    answer = await fetch(at.port, "POST", "/_gateway/session", bearer, *fields)
    return "Cookie: " + answer.value("Set-Cookie").partition(";")[0]


async def _opened(browser: Browser, at: World, device: str, scheme: str) -> Page:
    width, height = WIDTHS[device]
    context = await browser.new_context(
        color_scheme=scheme,  # type: ignore[arg-type]
        viewport={"width": width, "height": height},
    )
    page = await context.new_page()
    await page.goto(f"http://127.0.0.1:{at.gateway.admin_port}/")
    await expect(page.locator("#headline")).not_to_have_text("Connecting")
    await expect(page.locator("#tiles .value").first).not_to_have_text("–")
    return page


async def _keep(page: Page, name: str) -> None:
    await page.mouse.move(0, 0)
    await page.screenshot(path=Path(str(PICTURES)) / f"{name}.png", caret="hide")


async def _keep_part(part: Locator | Page, name: str) -> None:
    await part.screenshot(path=Path(str(PICTURES)) / f"{name}.png", caret="hide")


@pytest.mark.skipif(PICTURES is None, reason="SCREENSHOTS names no folder")
@pytest.mark.timeout(TRAFFIC_S + 300)
async def test_the_dashboard_at_work(tmp_path: Path) -> None:
    """On each screen; a refusal that is found and explained in three clicks; people; limits."""
    async with world(tmp_path, **CONFIG_CHANGES) as at, chromium(at.port) as browser, _busy(at):
        await asyncio.sleep(TRAFFIC_S)
        for device in ("phone", "tablet", "desktop"):
            for scheme in SCHEMES:
                page = await _opened(browser, at, device, scheme)
                await _keep(page, f"dashboard-{device}-{scheme}")
                await page.context.close()
        page = await _opened(browser, at, "desktop", "light")
        dialog = page.get_by_role("dialog")
        await _keep(page, "refusal-1")
        await page.get_by_role("link", name="Refusals").click()
        row = page.locator("#recent tr", has_text="/exports/").first
        await row.hover()
        await _keep_part(page, "refusal-2")
        await row.get_by_role("button", name="Explain").click()
        await expect(dialog.locator("li.refused")).to_be_visible()
        await _keep(page, "refusal-3")
        await dialog.get_by_role("button", name="Close").click()
        await row.get_by_role("button", name="Reset").click()
        await _keep(page, "refusal-4")
        await page.keyboard.press("Escape")
        await page.locator("#limits tr", has_text="api").get_by_role("button").click()
        await expect(dialog.locator("tbody tr").first).to_contain_text("203.0.113.")
        await _keep(page, "dashboard-limits")
        await page.keyboard.press("Escape")
        await page.get_by_role("button", name="Search").click()
        await expect(page.locator("#people-found tbody tr")).to_have_count(2)
        await _keep_part(page.locator("#people"), "dashboard-people")
        await page.locator("#people-found").get_by_role("button", name="Sessions").first.click()
        await expect(dialog.locator("tbody tr")).to_have_count(1)
        await _keep_part(dialog, "dashboard-person")
