"""Being signed in: the account page, other windows, the end."""

import re
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from playwright.async_api import expect

from tests.browser.conftest import ORIGIN, Site, ask_for, give_code, signed_in

pytestmark = pytest.mark.asyncio(loop_scope="module")

LOGIN = ORIGIN + "/_gateway/login"
SIGNED_OUT = ORIGIN + "/_gateway/signed-out"


async def test_who_and_where(at: Site) -> None:
    """The page says who one is, and lists the browsers in which one is."""
    page = await signed_in(at)
    await expect(page.get_by_text(at.email)).to_be_visible()
    row = page.get_by_role("listitem")
    await expect(row).to_have_count(1)
    await expect(row).to_contain_text("Chrome on Linux")
    await expect(row).to_contain_text("This browser")
    await expect(row).to_contain_text("127.0.0.1")


async def test_the_device_in_the_language_of_the_page(at: Site) -> None:
    """Names of browsers and systems stay; the word between them is of the language."""
    page = await signed_in(at)
    await page.get_by_role("link", name="Deutsch").click()
    await expect(page.get_by_role("listitem")).to_contain_text("Chrome auf Linux")


async def test_names_of_devices_on_a_small_phone(at: Site) -> None:
    """In a language with long words, the button leaves them room."""
    here, _ = await signed_in(at), await signed_in(at)
    await here.set_viewport_size({"width": 320, "height": 640})
    await here.get_by_role("link", name="Français").click()
    row = here.get_by_role("listitem").filter(has=here.get_by_role("button"))
    box = await row.get_by_role("heading").bounding_box()
    assert box is not None
    assert box["width"] > 120


async def test_reload(at: Site) -> None:
    """One stays signed in."""
    page = await signed_in(at, "/me")
    await page.reload()
    assert [at.email] == at.world.app.seen[-1].values("X-User-Email")
    await page.goto("/_gateway/login")
    await page.wait_for_url(ORIGIN + "/_gateway/account")


async def test_log_out_here(at: Site) -> None:
    """The other browser stays signed in."""
    here, there = await signed_in(at), await signed_in(at)
    await here.get_by_role("button", name="Log out here").click()
    await here.wait_for_url(SIGNED_OUT)
    await there.reload()
    await expect(there.get_by_role("listitem")).to_have_count(1)


async def test_log_out_everywhere(at: Site) -> None:
    """The other browser is asked to sign in."""
    here, there = await signed_in(at), await signed_in(at)
    await here.get_by_role("button", name="Log out everywhere", exact=True).click()
    await here.wait_for_url(SIGNED_OUT)
    await there.reload()
    assert there.url.startswith(LOGIN)


async def test_log_out_there(at: Site) -> None:
    """One session of the list is ended, and its browser is asked to sign in."""
    here, there = await signed_in(at), await signed_in(at)
    await here.reload()
    await here.get_by_role("button", name="Log out there").click()
    await expect(here.get_by_role("status")).to_have_text("That session has ended.")
    await expect(here.get_by_role("listitem")).to_have_count(1)
    await there.reload()
    assert there.url.startswith(LOGIN)


async def test_log_out_everywhere_else(at: Site) -> None:
    """The other browsers are asked to sign in; one that has left already is no failure."""
    here, there, gone = await signed_in(at), await signed_in(at), await signed_in(at)
    await here.reload()
    await gone.evaluate("fetch('/_gateway/session', {method: 'DELETE'})")
    await here.get_by_role("button", name="Log out everywhere else").click()
    await expect(here.get_by_role("status")).to_have_text("Your other sessions have ended.")
    await expect(here.get_by_role("listitem")).to_have_count(1)
    assert [404] == [status for status, _ in at.refusals]
    at.refusals.clear()
    await there.reload()
    assert there.url.startswith(LOGIN)
    await here.reload()
    await expect(here.get_by_role("button", name="Log out everywhere else")).to_have_count(0)


async def test_times_are_those_of_the_browser(at: Site) -> None:
    """The end of the session by the clock on the wall and from now on; its begin by the clock."""
    page = await signed_in(at, timezone_id="Asia/Kathmandu")
    until = page.locator("#until")
    ends = datetime.fromisoformat(await until.get_attribute("datetime") or "")
    wall = ends.astimezone(ZoneInfo("Asia/Kathmandu")).strftime("%H:%M")
    await expect(until).to_have_text(re.compile(rf"^(today|tomorrow) at {wall} \(in 8 hours\)$"))
    await expect(page.get_by_role("listitem")).to_contain_text(re.compile(r"Since \w+ at \d"))


async def test_log_out_without_javascript(at: Site) -> None:
    """It is a form."""
    context = (await signed_in(at)).context
    cookies = await context.cookies()
    plain = await at.new_context(java_script_enabled=False)
    await plain.add_cookies([cookie for cookie in cookies if cookie["name"] == "session"])  # type: ignore[misc]
    page = await plain.new_page()
    await page.goto("/_gateway/account")
    await page.get_by_role("button", name="Log out here").click()
    await page.wait_for_url(SIGNED_OUT)
    await page.goto("/me")
    assert page.url.startswith(LOGIN)


async def test_two_tabs(at: Site) -> None:
    """Both can sign in one after the other; the second finds that it is done."""
    first = await at.page("/_gateway/login?return_to=/first")
    second = await first.context.new_page()
    await second.goto("/_gateway/login?return_to=/second")
    for page, place in ((first, "/first"), (second, "/second")):
        await ask_for(page, "Email me a code", at.email)
        await give_code(page)
        await page.wait_for_url(ORIGIN + place)


async def test_the_session_ends_in_mid_use(at: Site) -> None:
    """What one does next leads to the login page, and from there back."""
    page = await signed_in(at, "/desk?step=2")
    await page.evaluate("fetch('/_gateway/session', {method: 'DELETE'})")
    answer = await page.evaluate("fetch('/desk/save', {method: 'POST'}).then((a) => a.status)")
    assert 401 == answer
    assert [(401, "/desk/save")] == at.refusals
    at.refusals.clear()
    await page.reload()
    await ask_for(page, "Email me a code", at.email)
    await give_code(page)
    await page.wait_for_url(ORIGIN + "/desk?step=2")
