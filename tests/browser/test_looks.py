"""
How the pages look, whether they are accessible, light and still.

    make screenshots

keeps pictures of them in docs/images.
"""

import hashlib
import os
import shutil
import subprocess
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.browser.conftest import ORIGIN, Site, alert, ask_for, give_code, site
from tests.fakes.places import CITIES, write

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG_CHANGES = {
    "login": "{name: Acme}",
    "more_session": ", idle: 1h",
    "tight": "5/minute",
    "client_ip": "x-forwarded-for",
    "trusted_proxies": "[127.0.0.0/8]",
    "more_limits": "  login: {rate: 1000/minute, per: [ip, email]}",
    "more_routes": """
  - {name: staff, match: {path: "/staff"}, allow: [{roles: [staff]}], upstream: app}
""",
}
PICTURES = os.environ.get("SCREENSHOTS")
KEPT = ("login", "code", "account", "forbidden", "limited", "signed-out")
IS_AS_WIDE = "document.documentElement.scrollWidth <= innerWidth"
AXE, AXE_SHA256 = (
    "axe-core@4.14.1",
    "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c",
)
"""Fetched from npm and not kept here: its licence is MPL-2.0."""

SCHEMES = ("light", "dark")
WIDTHS = {"narrow": (320, 568), "phone": (390, 844), "tablet": (820, 1180), "desktop": (1280, 800)}
ZOOMED = {"zoomed": (320, 200)}
"""A desktop at 400 %, as WCAG 2.2 section 1.4.10 has it."""
MADE_UP = {
    "81.2.69.142": "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Version/17.0 Safari/604",
    "89.160.20.112": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
}
"""Other browsers of the same person, by address."""


@pytest.fixture(scope="session")
def axe(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The script that finds what is wrong with a page for people with disabilities."""
    script = request.config.cache.mkdir("axe") / f"{AXE_SHA256}.js"
    if not script.exists():
        fetched = script.with_suffix(f".{os.getpid()}")
        fetched.write_bytes(_fetched(tmp_path_factory.mktemp("axe")))
        fetched.replace(script)  # whole at once: other processes of the tests read it, too
    return script.read_text()


def _fetched(folder: Path) -> bytes:
    if shutil.which("npm") is None:
        pytest.skip("npm is needed for axe-core")
    packing = ["npm", "pack", AXE]
    done = subprocess.run(packing, cwd=folder, capture_output=True, timeout=60, check=False)
    if done.returncode:
        pytest.skip("npm cannot fetch axe-core")
    with tarfile.open(folder / done.stdout.decode().split()[-1]) as packed:
        file = packed.extractfile("package/axe.min.js")
        assert file is not None
        script = file.read()
    assert AXE_SHA256 == hashlib.sha256(script).hexdigest()
    return script


async def look(page: Page, name: str) -> None:
    """No fault for people with disabilities, nothing wider than the screen; a picture."""
    found: dict[str, Any] = await page.evaluate("axe.run(document)")
    faults = [
        (fault["id"], [node["html"] for node in fault["nodes"]]) for fault in found["violations"]
    ]
    assert [] == faults
    assert await page.evaluate(IS_AS_WIDE)
    if PICTURES and "contrast" not in name and name.startswith(KEPT) and "narrow" not in name:
        await page.screenshot(path=Path(PICTURES) / f"{name}.png", caret="hide")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def shared_site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """A site that knows places."""
    folder = tmp_path_factory.mktemp("gateway")
    places = write(folder / "cities.mmdb", CITIES)
    async with site(folder, **CONFIG_CHANGES, more=f"pages: {{places: '{places}'}}") as running:
        yield running


async def look_everywhere(page: Page, name: str, scheme: str) -> None:
    """
    Look at one page on all screens: it is read by axe-core on the smallest and the largest.

    In other colours once is enough: they do not depend on the screen.
    """
    for device, (width, height) in {**WIDTHS, **ZOOMED}.items():
        await page.set_viewport_size({"width": width, "height": height})
        if device in ("narrow", "desktop") and (device == "desktop" or scheme == "light"):
            await look(page, f"{name}-{device}-{scheme}")
            continue
        assert await page.evaluate(IS_AS_WIDE), device
        if PICTURES and name in KEPT and scheme in SCHEMES and device in ("phone", "tablet"):
            picture = Path(PICTURES) / f"{name}-{device}-{scheme}.png"
            await page.screenshot(path=picture, caret="hide")
    await page.evaluate("document.documentElement.dir = 'rtl'")
    assert await page.evaluate(IS_AS_WIDE), "from right to left"
    await page.evaluate("document.documentElement.dir = 'ltr'")


@pytest.mark.parametrize("scheme", [*SCHEMES, "contrast"])
async def test_every_page(at: Site, axe: str, scheme: str) -> None:
    """Forms, errors, account, refusals: on each screen, dark, light, and in forced colours."""
    at.email = "alice@example.com"
    for address, agent in MADE_UP.items():
        by, fields = at.relayer.signer(at.email), [f"X-Forwarded-For: {address}"]
        await at.world.sign_in(by, 900, *fields, f"User-Agent: {agent}")
    options = {"forced_colors": "active"} if scheme == "contrast" else {"color_scheme": scheme}
    context = await at.new_context(**options)
    await context.add_init_script(axe)
    page = await context.new_page()

    await page.goto("/_gateway/callback")
    await alert(page, "opened by the link")
    await look_everywhere(page, "callback", scheme)
    await page.goto("/_gateway/login?return_to=/_gateway/account")
    await expect(page.get_by_label("Email address")).to_be_focused()
    await look_everywhere(page, "login", scheme)
    await ask_for(page, "Email me a code", at.email)
    await expect(page.get_by_label("Code")).to_be_focused()
    await look_everywhere(page, "code", scheme)
    await give_code(page, "000000")
    await alert(page, "not the code")
    await look_everywhere(page, "wrong-code", scheme)
    await give_code(page)
    await page.wait_for_url(ORIGIN + "/_gateway/account")
    await expect(page.get_by_role("listitem")).to_have_count(1 + len(MADE_UP))
    await expect(page.get_by_text("London, United Kingdom")).to_be_visible()
    await look_everywhere(page, "account", scheme)
    await page.get_by_role("button", name="Log out everywhere else").click()
    await expect(page.get_by_role("status")).to_have_text("Your other sessions have ended.")
    await page.goto("/staff")
    await expect(page.get_by_text(f"signed in as {at.email}")).to_be_visible()
    await look_everywhere(page, "forbidden", scheme)
    await page.goto("/_gateway/logout?return_to=/public/x")
    await look_everywhere(page, "logout", scheme)
    await page.get_by_role("button", name="Log out").click()
    await page.wait_for_url(ORIGIN + "/public/x")
    await page.goto("/_gateway/signed-out?return_to=/public/x")
    await look_everywhere(page, "signed-out", scheme)
    while await page.locator("#countdown").count() == 0:
        await page.goto("/tight/x")
    await look_everywhere(page, "limited", scheme)
    at.refusals.clear()
    at.relayer.who = ""
    await ask_for(await at.page(), "Email me a link", f"{scheme}@example.com")
    await page.goto(await at.relayer.link())
    await expect(page.get_by_role("button", name="Sign in here")).to_be_visible()
    await look_everywhere(page, "confirm", scheme)


WEIGHT = """async () => {
  let shift = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) shift += entry.value;
  }).observe({ type: "layout-shift", buffered: true });
  await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve, 50)));
  const kinds = ["navigation", "resource"];
  const loaded = kinds.flatMap((kind) => performance.getEntriesByType(kind));
  const bytes = loaded.reduce((sum, entry) => sum + entry.transferSize, 0);
  return [shift, bytes, loaded.map((entry) => entry.name)];
}"""
PATHS = (
    *("/_gateway/login", "/_gateway/signed-out", "/_gateway/nothing"),
    *("/_gateway/account", "/_gateway/logout", "/staff"),
)


@pytest.mark.parametrize("device", ["phone", "desktop"])
async def test_pages_are_light_and_still(at: Site, device: str) -> None:
    """Nothing moves once it is shown; Magic's SDK is not loaded before a method is chosen."""
    width, height = WIDTHS[device]
    page = await at.page(viewport={"width": width, "height": height})
    wire = await page.context.new_cdp_session(page)
    await wire.send("Network.enable")
    await wire.send("Network.setCacheDisabled", {"cacheDisabled": True})
    for place, path in enumerate(PATHS):
        if place == 3:  # the others are for a person who is signed in
            await page.goto("/_gateway/login?return_to=/_gateway/account")
            await ask_for(page, "Email me a code", at.email)
            await give_code(page)
            await page.wait_for_url(ORIGIN + "/_gateway/account")
        await page.goto(path)
        await page.wait_for_load_state("networkidle")
        shift, size_bytes, loaded = await page.evaluate(WEIGHT)
        assert (path, 0) == (path, shift)
        assert 0 < size_bytes < 60 << 10, path
        assert len(loaded) <= 18, loaded
        assert not [name for name in loaded if "magic-sdk" in name]
    at.refusals.clear()
