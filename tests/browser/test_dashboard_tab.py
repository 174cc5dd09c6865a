"""The page of the dashboard, left open: for hours, asleep, and with odd clocks."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.browser.conftest import chromium
from tests.fakes.dashboard_tab import Tab, faultless_tab, opened_tab

pytestmark = pytest.mark.asyncio(loop_scope="module")

LOOKS = 3
"""Looks at the memory: a single one may find what the collector has not come to yet."""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium(1) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def tab(browser: Browser) -> AsyncIterator[Tab]:
    async with faultless_tab(browser) as opened:
        yield opened


async def test_hours_leave_no_memory_behind(tab: Tab) -> None:
    """What the page shows of them is bounded: points, refusals, elements and listeners."""
    await tab.live(250, step_s=5)
    before = min([await tab.memory() for _ in range(LOOKS)], key=lambda each: each.nodes)
    await tab.live(500, step_s=5)
    after = await tab.memory()
    for _ in range(10 * LOOKS):  # what is garbage is gone at one of them
        if after.nodes <= before.nodes and after.heap_bytes - before.heap_bytes < 256 << 10:
            break
        after = await tab.memory()
    assert 256 << 10 > after.heap_bytes - before.heap_bytes
    assert (before.nodes, before.listeners) == (after.nodes, after.listeners)


async def test_a_worker_that_begins_anew_has_no_negative_rates(tab: Tab) -> None:
    """Its CPU time and its requests begin at zero; those of the gateway go on."""
    tab.events["figures"]["workers"] = [_worker("worker 1", 50.0), _worker("worker 2", 50.0)]
    await tab.live(20)
    tab.events["figures"]["workers"][0] = _worker("worker 1", 0.1)
    for _ in range(12):
        await tab.live(1)
        assert [] == await tab.wrong_numbers()


async def test_a_reload_that_takes_routes_away_has_no_negative_rates(tab: Tab) -> None:
    """Their requests are gone from the totals; those of the others go on."""
    await tab.live(20)
    figures = tab.events["figures"]
    figures["requests"]["2xx"] = figures["requests"]["2xx"] // 2
    del figures["routes"][5:]
    figures["durations"]["total"] = [count // 2 for count in figures["durations"]["total"]]
    for _ in range(12):
        await tab.live(1)
        assert [] == await tab.wrong_numbers()


async def test_figures_that_come_twice_are_shown_once(tab: Tab) -> None:
    """The plots have each time once, and rates stay."""
    await tab.live(20)
    shown = await tab.page.locator("main").inner_text()
    await tab.say("figures", tab.events["figures"])
    assert shown == await tab.page.locator("main").inner_text()
    times = await tab.times()
    assert sorted(set(times)) == times


_HIDE = """(is_hidden) => {
  Object.defineProperty(document, "hidden", { value: is_hidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


async def test_a_hidden_tab_draws_nothing_until_it_is_shown(tab: Tab) -> None:
    """Then it has all that came, at once; its title follows the state meanwhile."""
    await tab.live(20)
    shown = await tab.times()
    await tab.page.evaluate(_HIDE, True)
    changed = await tab.page.evaluate_handle(
        """() => {
          const changed = new Set();
          const watched = [...document.querySelectorAll("table, #tiles, .legend, figcaption")];
          const see = (all) => all.forEach((each) => changed.add(each.target.nodeName));
          const watch = new MutationObserver(see);
          const options = { subtree: true, childList: true, characterData: true };
          watched.forEach((each) => watch.observe(each, { ...options, attributes: true }));
          return changed;
        }"""
    )
    trouble = {"level": "bad", "text": "The store does not answer", "since_s": 1}
    tab.events["figures"]["state"] = {"level": "bad", "troubles": [trouble]}
    await tab.live(150)
    assert shown == await tab.times()
    assert 0 == await changed.evaluate("(changed) => changed.size")
    await expect(tab.page).to_have_title("The store does not answer · Gateway")
    await tab.page.evaluate(_HIDE, False)
    times = await tab.times()
    assert 150 == len(times) - len(shown)
    assert times[-1] == tab.events["figures"]["time_s"]
    await expect(tab.page.locator("#recent tbody tr")).to_have_count(100)
    await expect(tab.page.locator("#recent tbody tr").first).to_contain_text("rate_limited")
    await tab.live(1)
    assert times[-1] < (await tab.times())[-1]


_HIDDEN_BUTTONS = """() => [...document.querySelectorAll("td button")].filter((button) => {
  const frame = button.closest(".scroll").getBoundingClientRect();
  return button.getBoundingClientRect().right > frame.right + 1;
}).map((button) => button.textContent)"""


@pytest.mark.parametrize("width", [320, 800, 1280])
async def test_the_buttons_of_a_row_are_in_sight(tab: Tab, width: int) -> None:
    """However long its path, its names and its addresses are."""
    await tab.page.set_viewport_size({"width": width, "height": 800})
    long = "x" * 64
    figures = tab.events["figures"]
    figures["limits"] = [{"limit": long, "refused": 1, "allowed": 1}]
    issuer = f"did:ethr:0x{'A' * 40}"
    refusal = {
        **tab.events["refusals"][0],
        "path": f"/{'%E2%98%83' * 300}",
        "route": long,
        "reason": f"limit {long}",
        "client": "2001:db8:1111:2222:3333:4444:5555:6666",
        "issuer": issuer,
        "refusal": "rate_limited",
        "time": "2026-01-01T00:00:01.000Z",
    }
    await tab.say("refusals", [{**refusal, "issuer": f"{issuer}{each}"} for each in range(5)])
    await tab.live(2)
    button = tab.page.locator("#recent").get_by_role("button", name="Explain")
    await expect(button).not_to_have_count(0)
    await expect(tab.page.locator("#limits")).to_contain_text(issuer)
    assert [] == await tab.page.evaluate(_HIDDEN_BUTTONS)


async def test_a_dialog_gives_the_focus_back(tab: Tab) -> None:
    """By keyboard, to the button that opened it, although refusals have come meanwhile."""
    await tab.live(3)
    button = tab.page.locator("#recent").get_by_role("button", name="Explain").first
    row = await button.get_attribute("data-of")
    await button.press("Enter")
    await expect(tab.page.get_by_role("dialog")).to_be_visible()
    await tab.live(3)
    await tab.page.keyboard.press("Escape")
    await expect(tab.page.get_by_role("dialog")).to_be_hidden()
    focused = "document.activeElement.getAttribute('data-of')"
    assert row == await tab.page.evaluate(focused)
    await tab.page.get_by_label("Email address, @domain or issuer").focus()
    await tab.live(1)
    await expect(button).not_to_have_attribute("data-of", str(row))


async def test_nothing_moves_as_troubles_come_and_go(tab: Tab) -> None:
    """A button stays where it is, under the pointer that is about to press it."""
    await tab.page.set_viewport_size({"width": 1280, "height": 800})
    texts = ("90 % of requests are refused", f"Limit {'x' * 20} refuses 90 % of its requests")
    troubles = [{"level": "warn", "text": text, "since_s": 1} for text in texts]
    places = []
    for count in (0, 1, 2):
        level = "warn" if count else "good"
        tab.events["figures"]["state"] = {"level": level, "troubles": troubles[:count]}
        await tab.live(1)
        await expect(tab.page.locator("#troubles li")).to_have_count(max(0, count - 1))
        places.append(await tab.page.evaluate("document.querySelector('#recent').offsetTop"))
    assert 1 == len(set(places)), places


async def test_a_dialog_can_be_read_and_left_on_a_small_screen(tab: Tab) -> None:
    """As of a page at 400 %, whatever the length of its title."""
    await tab.page.set_viewport_size({"width": 320, "height": 256})
    figures = tab.events["figures"]
    figures["limits"] = [{"limit": "x" * 64, "refused": 1, "allowed": 1}]
    await tab.live(2)
    await tab.page.get_by_role("button", name="Who is near").click()
    dialog = tab.page.get_by_role("dialog")
    await expect(dialog).to_contain_text("status 404")
    wide = "(each) => each.scrollWidth > each.clientWidth"
    for part in (dialog, dialog.get_by_role("heading"), tab.page.locator("#dialog-body")):
        assert not await part.evaluate(wide)
    for part in (dialog.get_by_role("alert"), dialog.get_by_role("button", name="Close")):
        await part.scroll_into_view_if_needed()
        await expect(part).to_be_in_viewport(ratio=0.9)


async def test_what_is_remembered_goes_by_the_clock_of_the_gateway(tab: Tab) -> None:
    """A browser years ahead says since when, too; and no longer than it is true."""
    figures = tab.events["figures"]
    past = {"figures": [], "names": [], "points": [], "since_s": figures["time_s"]}
    await tab.say("history", past)
    await tab.live(2)
    since = tab.page.locator("#since")
    await expect(since).to_contain_text("plots are full after 15 minutes")
    await tab.live(1, step_s=900)
    await expect(since).to_be_empty()


@pytest.mark.parametrize("jump_s", [-7200, -30, 5 * 3600])
async def test_plots_go_on_when_the_clock_jumps(tab: Tab, jump_s: int) -> None:
    """Back, as it is set; or ahead, as a laptop wakes. What is not recent is no longer shown."""
    await tab.live(40)
    tab.events["figures"]["time_s"] += jump_s
    await tab.live(20)
    times = await tab.times()
    assert sorted(set(times)) == times
    assert times[-1] == tab.events["figures"]["time_s"]
    assert 19 <= len(times) <= 60
    assert 1000 >= times[-1] - times[0]
    assert [] == await tab.wrong_numbers()


async def test_events_are_asked_for_again(browser: Browser) -> None:
    """Also after an answer that is none: browsers themselves give up then."""
    page = await browser.new_page()
    await page.clock.install()
    async with opened_tab(page) as tab:
        await page.evaluate("tab.close(); tab.dispatchEvent(new Event('error')); watch()")
        await expect(page.locator("#live")).to_contain_text("not connected")
        await page.clock.run_for(5000)
        async with asyncio.timeout(15):
            await page.evaluate("opened")
        await tab.say("hello", tab.events["hello"])
        figures = tab.events["figures"]
        await tab.say("figures", {**figures, "time_s": figures["time_s"] + 5})
        await expect(page.locator("#live")).not_to_contain_text("not connected")
    await page.close()


async def test_a_page_of_an_older_gateway_is_loaded_again(tab: Tab) -> None:
    """Once for each version, when no dialog is open: several gateways may be behind one address."""
    hello = tab.events["hello"]
    await tab.page.evaluate("window.is = 'old'")
    own = (await tab.page.locator("script[type=module]").get_attribute("src") or "").split("/")[1]
    await tab.say("hello", {**hello, "version": own})
    for version in ("new", "newer"):
        await tab.page.get_by_role("button", name="Drain").click()
        await tab.say("hello", {**hello, "version": version})
        assert "old" == await tab.page.evaluate("window.is")
        async with tab.page.expect_navigation():
            await tab.page.keyboard.press("Escape")
        assert None is await tab.page.evaluate("window.is ?? null")
        await tab.page.evaluate("window.is = 'old'")
    for version in ("new", "newer", "new", own):
        await tab.say("hello", {**hello, "version": version})
    await tab.live(1)
    assert "old" == await tab.page.evaluate("window.is")


@pytest.mark.parametrize("status", [401, 403])
async def test_a_page_without_a_right_is_loaded_again(browser: Browser, status: int) -> None:
    """So that it says why nothing is shown, in place of trying for ever."""
    page = await browser.new_page()
    await page.clock.install()
    async with opened_tab(page) as tab:
        await page.route(tab.page.url, lambda route: route.fulfill(status=status, body="denied"))
        await page.evaluate("tab.close(); tab.dispatchEvent(new Event('error'))")
        await page.clock.run_for(5000)
        await expect(page.locator("body")).to_have_text("denied")
    await page.close()


async def test_a_connection_that_says_nothing_is_left(browser: Browser) -> None:
    """As after a laptop has slept: its other end may be long gone, which no browser hears."""
    page = await browser.new_page()
    await page.clock.install()
    async with opened_tab(page) as tab:
        for _ in range(5):
            await page.clock.run_for(30_000)
            tab.events["figures"]["time_s"] += 30
            await tab.say("figures", tab.events["figures"])
            await expect(page.locator("#live")).not_to_contain_text("not connected")
        await page.evaluate("watch()")
        await page.clock.run_for(90_000)
        async with asyncio.timeout(15):
            await page.evaluate("opened")
        await expect(page.locator("#live")).to_contain_text("not connected")
        tab.events["figures"]["time_s"] += 90
        await tab.say("figures", tab.events["figures"])
        await expect(page.locator("#live")).not_to_contain_text("not connected")
    await page.close()


def _worker(name: str, cpu_s: float) -> dict[str, object]:
    more = {"up": True, "memory_bytes": 1 << 26, "requests": 1}
    return {"worker": name, "cpu_s": cpu_s, **more}
