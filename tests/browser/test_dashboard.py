"""The dashboard in a real browser."""

import asyncio
import re
import time
from itertools import product

import pytest
from playwright.async_api import Page, Route, expect

from gateway.config.server import AdminSettings
from tests.browser.conftest import Site
from tests.browser.test_looks import SCHEMES, WEIGHT, WIDTHS, axe, look
from tests.fakes.admin import Deeds, Source, Works, listening
from tests.fakes.http import fetch
from tests.fakes.tokens import ALICE, BOB, minted
from tests.fakes.world import ADMIN
from tests.unit.admin.test_operations import TOKEN

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG_CHANGES = {
    "admin": ADMIN,
    "workers": "2",
    "more_limits": "  few: {rate: 3/day}\n",
    "more_routes": (
        '  - {name: few, match: {path: "/few/*"}, auth: none, limits: [few], upstream: app}\n'
    ),
}

WELL = """
const parse = JSON.parse;
JSON.parse = (text) => {
  const found = parse(text);
  if (found?.state) found.state = { level: "good", troubles: [] };
  return found;
};
"""
"""Takes the list of troubles, which needs room, out of what comes: other tests have made some."""
SLOW_OR_WORTH_A_LOOK = re.compile("warn|bad")
"""The level of a limit that refuses, beside which a busy machine may have made the gateway slow."""

_: object = axe
"""The fixture, which this module uses."""


async def _dashboard(at: Site, **options: object) -> Page:
    page = await (await at.new_context(**options)).new_page()
    await page.goto(f"http://127.0.0.1:{at.world.gateway.admin_port}/")
    await expect(page.locator("#status")).to_have_text("ok")
    return page


async def test_a_refusal_is_found_and_explained(at: Site) -> None:
    """One click shows the stage that refused it; what the client sent is text there."""
    agent = "<img src=x onerror=alert(1)>"
    for _ in range(4):
        await fetch(at.world.port, "GET", "/few/x", f"User-Agent: {agent}")
    page = await _dashboard(at)
    await page.get_by_role("link", name="Refusals").click()
    row = page.locator("#recent tr", has_text="/few/").first
    await expect(row).to_contain_text("rate_limited: limit few")
    await row.get_by_role("button", name="Explain").click()
    dialog = page.get_by_role("dialog")
    refused = dialog.locator("li.refused details")
    await expect(refused).to_have_attribute("open", "")
    await expect(refused).to_contain_text("few is used up")
    await expect(refused.locator("td")).to_contain_text(["few", "127.0.0.1", "3 of 3", "1 day"])
    await expect(dialog.locator("li.passed details[open]")).to_have_count(0)
    assert "{" not in await dialog.locator(".stages").inner_text()
    await expect(dialog).to_contain_text(agent)
    await dialog.get_by_role("button", name="Close").click()
    await row.get_by_role("button", name="Reset").click()
    await expect(dialog).to_contain_text("Reset few?")
    assert 0 == await page.locator("#recent b, dialog img").count()


async def test_figures_move(at: Site) -> None:
    """They come by themselves, and go on when the page was left for a while."""
    page = await _dashboard(at)
    asked = page.locator("#totals dt", has_text="Requests in all").locator("+ dd")
    before = int((await asked.inner_text()).replace(",", ""))
    for _ in range(5):
        await fetch(at.world.port, "GET", "/public/x")
    await expect(asked).to_have_text(str(before + 5))
    await expect(page.locator("#routes tr", has_text="public")).to_contain_text("public")
    for part in ("all of it", "gateway and client", "app, until its head"):
        await expect(page.locator("#percentiles tr", has_text=part)).to_contain_text("ms")


@pytest.mark.parametrize(
    ("device", "scheme"),
    [*product(("narrow", "desktop"), SCHEMES), ("tablet", "light")],
)
async def test_it_can_be_read(at: Site, axe: str, scheme: str, device: str) -> None:
    """On each screen, dark and light; with dialogs open, too. Nothing is wider than the screen."""
    width, height = WIDTHS[device]
    options = {"color_scheme": scheme, "viewport": {"width": width, "height": height}}
    context = await at.new_context(**options)
    await context.add_init_script(axe)
    page = await context.new_page()
    for _ in range(5):
        await fetch(at.world.port, "GET", "/few/x")
    await page.goto(f"http://127.0.0.1:{at.world.gateway.admin_port}/")
    await expect(page.locator("#status")).to_have_text("ok")
    await expect(page.locator(".u-over")).to_have_count(4)
    async with asyncio.TaskGroup() as group:
        for _ in range(30):
            group.create_task(fetch(at.world.port, "GET", "/public/x"))
    await expect(page.locator("#routes tr", has_text="public")).to_be_visible()
    await _has_no_fault(page)
    if (device, scheme) in (("narrow", "light"), ("desktop", "dark")):
        await _dialogs_have_no_fault(page)


async def _dialogs_have_no_fault(page: Page) -> None:
    dialog = page.get_by_role("dialog")
    await page.locator("#recent").get_by_role("button", name="Explain").first.click()
    await expect(dialog.locator("li.refused")).to_be_visible()
    for summary in await dialog.locator("li.passed summary, .raw summary").all():
        await summary.press("Enter")
    await _has_no_fault(page)
    await dialog.get_by_role("button", name="Close").click()
    await page.locator("#limits").get_by_role("button", name="Who is near").first.click()
    await expect(dialog.get_by_role("button", name="Reset")).to_be_visible()
    await _has_no_fault(page)
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Search").click()
    await expect(page.locator("#people-found")).to_be_visible()
    await _has_no_fault(page)


async def _has_no_fault(page: Page) -> None:
    """For people with disabilities, at any level; and none for those with a small screen."""
    await look(page, "")


async def test_the_plots_are_full_when_the_page_opens(at: Site) -> None:
    """With what happened before; the axis has hours and minutes, the legend the last values."""
    page = await _dashboard(at)
    told = page.locator("#plot-requests .legend li").first
    await expect(told).to_contain_text("/s")
    await page.reload()
    await expect(page.locator("#plot-total .legend b").first).not_to_have_text("")
    points = await page.evaluate(
        """async () => {
          const events = new EventSource("api/events");
          const past = await new Promise((take) => events.addEventListener("history", take));
          events.close();
          return JSON.parse(past.data).points.length;
        }"""
    )
    assert points > 0
    await expect(page.locator("#since")).to_contain_text("remembers since")


async def test_one_crosshair_marks_the_same_second_in_all_plots(at: Site) -> None:
    """Also while new figures come: the pointer rests."""
    page = await _dashboard(at)
    for _ in range(5):
        await fetch(at.world.port, "GET", "/public/x")
    await expect(page.locator("#plot-requests .legend b").first).not_to_have_text("–")
    over = page.locator("#plot-total .u-over")
    await over.scroll_into_view_if_needed()
    box = await over.bounding_box()
    assert box is not None
    await page.mouse.move(box["x"] + box["width"] - 8, box["y"] + 40)
    told = page.locator("figcaption .quiet")
    await expect(told.first).not_to_be_empty()
    for _ in range(2):
        before = await page.locator("#live").inner_text()
        await expect(page.locator("#live")).not_to_have_text(before)
        times = await told.all_inner_texts()
        assert (4, 1) == (len(times), len(set(times))), times


async def test_the_state_is_told_in_a_sentence(at: Site) -> None:
    """It changes with what happens, for screen readers too; a limit names who is over it."""
    page = await _dashboard(at)
    for _ in range(15):
        await fetch(at.world.port, "GET", "/few/x")
    await expect(page.locator("#state")).to_contain_text("Limit few refuses")
    await expect(page.locator("#state")).to_have_attribute("data-level", SLOW_OR_WORTH_A_LOOK)
    await expect(page.locator("#said")).to_contain_text("Limit few refuses many of its requests")
    row = page.locator("#limits tr", has_text="few")
    await row.get_by_role("button", name="Who is near").press("Enter")
    dialog = page.get_by_role("dialog")
    await expect(dialog.locator("tbody tr")).to_contain_text(["127.0.0.1"])
    await expect(dialog.locator("tbody tr")).to_contain_text(["3 of 3/day"])
    await dialog.get_by_role("button", name="Reset").press("Enter")
    await dialog.get_by_role("button", name="Begin from zero").press("Enter")
    await expect(dialog.get_by_role("status")).to_contain_text("127.0.0.1 begins from zero")
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    assert 200 == (await fetch(at.world.port, "GET", "/few/x")).status


async def test_a_keyboard_reaches_the_content_at_once(at: Site) -> None:
    """The first stop skips the head of the page."""
    page = await _dashboard(at)
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("#content")).to_be_focused()


async def test_a_person_is_found_and_revoked(at: Site) -> None:
    """By keyboard alone: search, sessions, and the button that asks before it does anything."""
    cookie = await at.world.sign_in(ALICE)
    assert 200 == (await at.world.get("/x", cookie)).status
    page = await _dashboard(at)
    await page.get_by_label("Email address, @domain or issuer").fill("@example.com")
    await page.keyboard.press("Enter")
    row = page.locator("#people-found tr", has_text=ALICE.issuer)
    await expect(row).to_contain_text("alice@example.com")
    await row.get_by_role("button", name="Sessions").press("Enter")
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_role("button", name="End")).to_have_count(1)
    assert 200 == (await at.world.get("/x", cookie)).status
    await dialog.get_by_role("button", name="Revoke all").press("Enter")
    await expect(dialog.get_by_role("heading")).to_have_text("Revoke alice@example.com?")
    assert 200 == (await at.world.get("/x", cookie)).status, (
        "nothing is done before it is confirmed"
    )
    await dialog.get_by_role("button", name="Revoke").press("Enter")
    await expect(dialog.get_by_role("status")).to_have_text("revoked: 1 session ended")
    await expect(page.locator("#people-said")).to_have_text("0 people")
    assert 401 == (await at.world.get("/x", cookie)).status
    await dialog.get_by_role("button", name="Close").press("Enter")
    await expect(dialog).to_be_hidden()


@pytest.mark.parametrize("device", ["phone", "desktop"])
async def test_figures_find_their_room(at: Site, device: str) -> None:
    """The page is shown before they come; hardly anything moves then, where all is well."""
    width, height = WIDTHS[device]
    context = await at.new_context(viewport={"width": width, "height": height})
    await context.add_init_script(WELL)
    page, may_go_on = await context.new_page(), asyncio.Event()

    async def held(route: Route) -> None:
        await may_go_on.wait()
        await route.continue_()

    await page.route("**/api/events", held)
    await page.goto(f"http://127.0.0.1:{at.world.gateway.admin_port}/")
    await expect(page.locator("#headline")).to_have_text("Connecting")
    may_go_on.set()
    await expect(page.locator("#since")).to_contain_text("This gateway remembers")
    await expect(page.locator("#tiles .value")).to_have_count(6)
    shift, *_ = await page.evaluate(WEIGHT)
    assert shift < 0.1


@pytest.mark.parametrize("width", [360, 768, 1024, 1200, 1280, 1440, 1600, 1920])
async def test_plots_stand_still_below_long_figures(at: Site, width: int) -> None:
    """Their legends have room for rates of four digits."""
    page = await _dashboard(at, viewport={"width": width, "height": 900})
    moved = await page.evaluate(
        "() => { const top = () => [...document.querySelectorAll('#plot-requests canvas,"
        " #plot-total canvas, #plot-split canvas, #plot-refusals canvas')].map("
        "(each) => each.getBoundingClientRect().top - document.querySelector("
        "'#tiles').getBoundingClientRect().top);"
        " const put = (text) => document.querySelectorAll('.legend b').forEach("
        "(each) => { each.textContent = text; });"
        " put('0/s'); const before = top(); put('1234/s');"
        " return before.map((each, at) => top()[at] - each); }"
    )
    assert [0] * 4 == moved


async def test_dates_of_people_are_on_one_line(at: Site) -> None:
    """However long an email address is."""
    at.world.magic.add_user(BOB.issuer, f"bob@{'long-' * 11}address.example.com")
    await fetch(at.world.port, "POST", "/_gateway/session", f"Authorization: Bearer {_token()}")
    page = await _dashboard(at, viewport={"width": 1280, "height": 800})
    await page.get_by_label("Email address, @domain or issuer").fill(BOB.issuer)
    await page.get_by_role("button", name="Search").click()
    row = page.locator("#people-found tbody tr")
    await expect(row).to_contain_text("long-address")
    lines = (
        await row.get_by_role("cell")
        .nth(3)
        .evaluate(
            "cell => { const all = document.createRange(); all.selectNodeContents(cell);"
            " return new Set([...all.getClientRects()].map((each) => each.top)).size; }"
        )
    )
    assert 1 == lines


def _token() -> str:
    return minted(time.time(), BOB, 900)


async def test_a_search_that_the_store_does_not_answer(at: Site) -> None:
    """The page says so in words, and not that no one is signed in."""
    page = await _dashboard(at)
    at.world.store.pause()
    try:
        await page.get_by_role("button", name="Search").click()
        await expect(page.locator("#people-said")).to_contain_text("The store does not answer")
        await expect(page.get_by_text("No one is signed in")).to_be_hidden()
    finally:
        at.world.store.resume()
    await page.get_by_role("button", name="Search").click()
    await expect(page.locator("#people-said")).to_contain_text(re.compile(r"\d (person|people)"))
    at.refusals.clear()


async def test_the_config_is_reloaded_when_it_is_confirmed(at: Site) -> None:
    """Closing the question does nothing; the list of reloads has the one that was confirmed."""
    page = await _dashboard(at)
    reloads = page.locator("#config-view table").nth(1).locator("tbody tr")
    await expect(reloads).to_have_text(["not reloaded since the start"])
    await page.get_by_role("button", name="Reload the config").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("button", name="Close").click()
    await page.get_by_role("button", name="Reload the config").click()
    await dialog.get_by_role("button", name="Reload").click()
    await expect(dialog.get_by_role("status")).to_have_text("the config was applied")
    await expect(reloads).to_have_count(1)
    await expect(reloads).to_contain_text("the API")
    await expect(reloads).to_contain_text("applied")


async def test_the_token_is_asked_for(at: Site) -> None:
    """A wrong one opens nothing; the right one opens the page until the operator signs out."""
    told = {"listen": "127.0.0.1:0", "token": TOKEN, "read_only": True}
    settings, works = AdminSettings.model_validate(told), Works()
    async with listening(settings, Source(), Deeds(), operations=works) as port:
        page = await (await at.new_context()).new_page()
        await page.goto(f"http://127.0.0.1:{port}/")
        for path in ("api/people?q=", "api/config", "api/events"):
            assert 401 == await page.evaluate("(at) => fetch(at).then((told) => told.status)", path)
        await page.get_by_label("Token").fill("wrong")
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("alert")).to_have_text("That is not the token.")
        assert [] == works.asked
        await page.get_by_label("Token").fill(TOKEN)
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.locator("#status")).to_have_text("ok")
        await expect(page.get_by_role("button", name="Drain")).to_be_hidden()
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_label("Token")).to_be_visible()
    assert {401} == {status for status, _ in at.refusals}
    at.refusals.clear()
