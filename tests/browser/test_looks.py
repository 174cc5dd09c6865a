"""
How the pages look, and whether they are accessible.

    make screenshots

keeps pictures of them in docs/images.
"""

import hashlib
import os
import shutil
import subprocess
import tarfile
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import ORIGIN, Site, alert, ask_for, give_code

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG_CHANGES = {"login": "{name: Acme}"}
PICTURES = os.environ.get("SCREENSHOTS")
KEPT = ("login", "code", "account")
AXE, AXE_SHA256 = (
    "axe-core@4.14.1",
    "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c",
)
"""Fetched from npm and not kept here: its licence is MPL-2.0."""

_EARLIER = count()
"""How many sessions the earlier tests of this process have left at its site."""

SCHEMES = ("light", "dark")
WIDTHS = {"phone": (390, 844), "desktop": (1280, 800)}


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
    """No serious fault for people with disabilities, nothing wider than the screen; a picture."""
    found: dict[str, Any] = await page.evaluate("axe.run(document)")
    serious = [
        (fault["id"], [node["html"] for node in fault["nodes"]])
        for fault in found["violations"]
        if fault["impact"] in ("serious", "critical")
    ]
    assert [] == serious
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    if PICTURES and name.startswith(KEPT):
        await page.screenshot(path=Path(PICTURES) / f"{name}.png", caret="hide")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("device", WIDTHS)
async def test_every_page(at: Site, axe: str, scheme: str, device: str) -> None:
    """The form, the code, what went wrong, the account: on each screen, dark and light."""
    at.email = "ada@example.com"
    width, height = WIDTHS[device]
    options = {"color_scheme": scheme, "viewport": {"width": width, "height": height}}
    context = await at.new_context(**options)
    await context.add_init_script(axe)
    page = await context.new_page()
    shown = f"{device}-{scheme}"

    await page.goto("/_gateway/callback")
    await alert(page, "opened by the link")
    await look(page, f"callback-{shown}")
    await page.goto("/_gateway/login?return_to=/_gateway/account")
    await expect(page.get_by_label("Email address")).to_be_focused()
    await look(page, f"login-{shown}")
    await ask_for(page, "Email me a code", at.email)
    await expect(page.get_by_label("Code")).to_be_focused()
    await look(page, f"code-{shown}")
    await give_code(page, "000000")
    await alert(page, "not the code")
    await look(page, f"wrong-code-{shown}")
    await give_code(page)
    await page.wait_for_url(ORIGIN + "/_gateway/account")
    await expect(page.get_by_role("button", name="Log out there")).to_have_count(next(_EARLIER))
    await look(page, f"account-{shown}")
    at.relayer.who = ""
    await ask_for(await at.page(), "Email me a link", f"{shown}@example.com")
    await page.goto(await at.relayer.link())
    await expect(page.get_by_role("button", name="Sign in here")).to_be_visible()
    await look(page, f"confirm-{shown}")
