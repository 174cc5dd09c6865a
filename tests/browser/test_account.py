"""Being signed in: the account page, other windows, the end."""

import pytest
from playwright.async_api import expect

from tests.browser.conftest import ORIGIN, Site, ask_for, give_code, signed_in

pytestmark = pytest.mark.asyncio(loop_scope="module")

LOGIN = ORIGIN + "/_gateway/login"


async def test_who_and_where(at: Site) -> None:
    """The page says who one is, and lists the browsers in which one is."""
    page = await signed_in(at)
    await expect(page.get_by_text(at.email)).to_be_visible()
    row = page.get_by_role("listitem")
    await expect(row).to_have_count(1)
    await expect(row).to_contain_text("Chrome on Linux")
    await expect(row).to_contain_text("This browser")
    await expect(row).to_contain_text("127.0.0.1")


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
    await here.wait_for_url(LOGIN)
    await there.reload()
    await expect(there.get_by_role("listitem")).to_have_count(1)


async def test_log_out_everywhere(at: Site) -> None:
    """The other browser is asked to sign in."""
    here, there = await signed_in(at), await signed_in(at)
    await here.get_by_role("button", name="Log out everywhere").click()
    await here.wait_for_url(LOGIN)
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


async def test_log_out_without_javascript(at: Site) -> None:
    """It is a form."""
    context = (await signed_in(at)).context
    cookies = await context.cookies()
    plain = await at.new_context(java_script_enabled=False)
    await plain.add_cookies([cookie for cookie in cookies if cookie["name"] == "session"])  # type: ignore[misc]
    page = await plain.new_page()
    await page.goto("/_gateway/account")
    await page.get_by_role("button", name="Log out here").click()
    await page.wait_for_url(LOGIN)
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
