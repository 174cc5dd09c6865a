"""The dashboard through the gateway itself, in a real browser."""

import pytest
from playwright.async_api import expect

from tests.browser.conftest import ORIGIN, Site, signed_in
from tests.fakes.http import fetch
from tests.fakes.tokens import ALICE

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG_CHANGES = {
    "admin": '{listen: "127.0.0.1:0", route: ops}',
    "workers": "2",
    "more_routes": (
        '  - {name: ops, match: {path: "/ops/*"}, allow: {domains: [example.com]}}\n'
        '  - {name: closed, match: {path: "/closed/*"}, allow: {roles: [x]}, upstream: app}\n'
    ),
}


@pytest.mark.parametrize("path", ["/ops/", "/ops"])
async def test_a_person_uses_it_below_a_path(at: Site, path: str) -> None:
    """With a slash at the end or without, its files, events and actions are found there."""
    page = await signed_in(at, path)
    await expect(page.locator("#status")).to_have_text("ok")
    await expect(page.get_by_role("button", name="Sign out")).to_be_hidden()
    bearer = at.world.bearer(ALICE)
    assert 403 == (await fetch(at.world.port, "GET", "/closed/x", bearer)).status
    await expect(page.locator("#recent")).to_contain_text("/closed/x")
    await page.get_by_role("button", name="Reload the config").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("button", name="Reload").click()
    await expect(dialog.get_by_role("status")).to_have_text("the config was applied")
    assert page.url.startswith(ORIGIN + "/ops")
    assert [] == at.faults
    assert [] == [each for each in at.refusals if each[1].startswith("/ops")]
