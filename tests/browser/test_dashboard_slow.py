"""The page of the dashboard over a slow network: answers come late, and in another order."""

import asyncio
import json
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Route, expect

from tests.browser.conftest import chromium
from tests.fakes.dashboard_tab import faultless_tab

pytestmark = pytest.mark.asyncio(loop_scope="module")

ADA, BOB = "did:ethr:0xAda", "did:ethr:0xB0b"
_HAS_COME = """async (at) => {
  const has = () => performance.getEntriesByType("resource").some(({ name }) => name.includes(at));
  while (!has()) await new Promise((go) => setTimeout(go, 20));
  await (await fetch("healthz")).text();
}"""
CALLERS = {"counted": 0, "is_partial": False, "callers": []}


class SlowNetwork:
    """Answers each request when it is told to."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self._held: dict[str, asyncio.Queue[Route]] = {}

    async def hold(self, path: str) -> None:
        """Keep requests for ``path`` until they are answered."""
        held = self._held[path] = asyncio.Queue()
        await self.page.route(lambda url: urlsplit(url).path == f"/{path}", held.put)

    async def answers(self, path: str, document: object, status: int = 200) -> str:
        """Answer the first request that waits; its query."""
        async with asyncio.timeout(15):
            route = await self._held[path].get()
        await route.fulfill(status=status, json=document)
        return urlsplit(route.request.url).query

    async def has_come(self, target: str) -> None:
        """Wait until the page has an answer, and what it does with it is done."""
        async with asyncio.timeout(15):
            await self.page.evaluate(_HAS_COME, f"/{target}")

    async def taken(self, path: str) -> Route:
        """The first request that waits, to be answered later."""
        async with asyncio.timeout(15):
            return await self._held[path].get()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium(1) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def network(browser: Browser) -> AsyncIterator[SlowNetwork]:
    async with faultless_tab(browser) as tab:
        limits = [{"limit": "api", "refused": 1, "allowed": 1}]
        await tab.say("figures", {**tab.events["figures"], "limits": limits})
        yield SlowNetwork(tab.page)


async def _search(page: Page, who: str) -> None:
    await page.get_by_label("Email address, @domain or issuer").fill(who)
    await page.get_by_role("button", name="Search").click()


def _person(issuer: str, sessions: int = 2) -> dict[str, object]:
    times = {"signed_in_at": "2026-01-01T00:00:00Z", "last_seen_at": "2026-01-01T00:00:00Z"}
    return {"issuer": issuer, "email": None, "sessions": sessions, **times}


def _found(*people: dict[str, object]) -> dict[str, object]:
    return {"people": people, "more": None}


async def test_a_dialog_that_was_left_stays_closed(network: SlowNetwork) -> None:
    """The callers of a limit come when the page no longer waits for them."""
    page = network.page
    await network.hold("api/limits/callers")
    dialog = page.get_by_role("dialog")
    await page.get_by_role("button", name="Who is near").click()
    await expect(dialog).to_contain_text("Asking the gateway")
    await page.keyboard.press("Escape")
    await network.answers("api/limits/callers", CALLERS)
    await network.has_come("api/limits/callers")
    await expect(dialog).to_be_hidden()
    await page.get_by_role("button", name="Who is near").click()
    await network.answers("api/limits/callers", CALLERS)
    await expect(dialog).to_contain_text("0 callers counted now")


async def _left_while_it_reloads(network: SlowNetwork) -> Route:
    """Confirm a reload of the config, and leave its dialog; the request, which waits."""
    await network.hold("api/actions/reload")
    page = network.page
    await page.get_by_role("button", name="Reload the config").click()
    await page.get_by_role("dialog").get_by_role("button", name="Reload").click()
    route = await network.taken("api/actions/reload")
    await page.keyboard.press("Escape")
    return route


@pytest.mark.parametrize("outcome", ["applied", "refused"])
async def test_a_late_outcome_leaves_the_next_question_alone(
    network: SlowNetwork, outcome: str
) -> None:
    """Its button is neither hidden nor pressed by a key that was meant for another."""
    route, page = await _left_while_it_reloads(network), network.page
    dialog = page.get_by_role("dialog")
    await page.get_by_role("button", name="Drain").click()
    await expect(dialog.get_by_role("heading")).to_be_focused()
    problems = [] if outcome == "applied" else ["a problem"]
    await route.fulfill(json={"outcome": outcome, "problems": problems})
    told = "the config was applied" if outcome == "applied" else "a problem"
    await expect(dialog).to_contain_text(f"Reload the config? {told}")
    await expect(dialog.get_by_role("heading")).to_be_focused()
    await expect(dialog.get_by_role("button", name="Drain")).to_be_enabled()


async def test_the_outcome_of_an_action_is_told_although_its_dialog_was_left(
    network: SlowNetwork,
) -> None:
    """It was confirmed, and has happened."""
    route = await _left_while_it_reloads(network)
    dialog = network.page.get_by_role("dialog")
    await expect(dialog).to_be_hidden()
    await route.fulfill(json={"outcome": "applied", "problems": []})
    await expect(dialog.get_by_role("status")).to_have_text("the config was applied")
    await expect(dialog.get_by_role("button")).to_have_text(["Close"])


async def test_the_answer_to_an_earlier_search_is_not_shown(network: SlowNetwork) -> None:
    """It comes last, and the field has another name by then."""
    page = network.page
    await network.hold("api/people")
    await _search(page, "ada")
    first = await network.taken("api/people")
    await _search(page, "bob")
    assert ["bob"] == parse_qs(await network.answers("api/people", _found(_person(BOB))))["q"]
    await expect(page.locator("#people-found")).to_contain_text(BOB)
    await first.fulfill(json=_found(_person(ADA)))
    await network.has_come("api/people?q=ada")
    await expect(page.locator("#people-found")).to_contain_text(BOB)
    await expect(page.locator("#people-said")).to_have_text("1 person")


async def test_the_sessions_are_those_of_the_person_who_was_chosen_last(
    network: SlowNetwork,
) -> None:
    """Whatever order the answers have: the dialog names one person, and ends sessions of it."""
    page = network.page
    await network.hold("api/people")
    await network.hold("api/people/sessions")
    await _search(page, "")
    await network.answers("api/people", _found(_person(ADA), _person(BOB)))
    rows, dialog = page.locator("#people-found tbody tr"), page.get_by_role("dialog")
    await rows.nth(0).get_by_role("button", name="Sessions").click()
    first = await network.taken("api/people/sessions")
    await page.keyboard.press("Escape")
    await rows.nth(1).get_by_role("button", name="Sessions").click()
    second = await network.taken("api/people/sessions")
    await second.fulfill(json={"sessions": [], "roles": ["of-bob"]})
    await expect(dialog).to_contain_text("of-bob")
    await first.fulfill(json={"sessions": [], "roles": ["of-ada"]})
    await network.has_come(f"api/people/sessions?{urlencode({'issuer': ADA})}")
    await expect(dialog).to_contain_text(BOB)
    await expect(dialog).not_to_contain_text("of-ada")


async def test_the_list_counts_sessions_of_a_person_who_was_found_twice(
    network: SlowNetwork,
) -> None:
    """The row of the first search is still there, and its button means the second."""
    page = network.page
    for path in ("api/people", "api/people/sessions", "api/actions/end-session"):
        await network.hold(path)
    for _ in range(2):
        await _search(page, "")
        await network.answers("api/people", _found(_person(ADA)))
        await expect(page.locator("#people-said")).to_have_text("1 person")
    await page.locator("#people-found").get_by_role("button", name="Sessions").click()
    times = {"created_at": None, "last_seen_at": None}
    sessions = [{"id": "1", "device": None, "place": None, "address": None, **times}]
    await network.answers("api/people/sessions", {"sessions": sessions, "roles": []})
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("button", name="End").click()
    await dialog.get_by_role("button", name="End the session").click()
    await network.answers("api/actions/end-session", {"sessions_ended": 1})
    await expect(dialog.get_by_role("status")).to_have_text("1 session ended")
    row = page.locator("#people-found tbody tr").get_by_role("cell")
    await expect(row.nth(2)).to_have_text("1")


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (502, "<html>Bad Gateway</html>", "The answer has status 502."),
        (200, '{"people": [', "The answer was cut off."),
        (503, json.dumps({"detail": "The store does not answer."}), "The store does not answer."),
    ],
)
async def test_an_answer_that_is_none_is_told_in_words(
    network: SlowNetwork, status: int, body: str, said: str
) -> None:
    """As of a proxy in front, or of a gateway that ends in the middle of it."""
    await network.hold("api/people")
    await _search(network.page, "")
    route = await network.taken("api/people")
    await route.fulfill(status=status, body=body)
    await expect(network.page.locator("#people-said")).to_have_text(said)
