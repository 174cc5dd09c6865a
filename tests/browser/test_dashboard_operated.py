"""What operators do by the dashboard, in a real browser; and what other pages cannot make it do."""

import asyncio
import json
import os
import signal
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, expect

from gateway.authn.did_token.mint import TokenSigner
from gateway.hooks.dead_letters import DeadLetters
from gateway.hooks.queue import Attempts, Claim
from gateway.store.connect import redis_client
from gateway.store.redis import RedisStore
from tests.browser.conftest import Site, chromium, site
from tests.fakes.free_port import free_port
from tests.fakes.hook_receiver import HookReceiver, receiving
from tests.fakes.hooks import SECRET, endpoint, event
from tests.fakes.http import connected, fetch
from tests.fakes.lines import whole_lines
from tests.fakes.process import gateway
from tests.fakes.tokens import ALICE, BOB

pytestmark = pytest.mark.asyncio(loop_scope="module")

MARKUP = "<img src=x onerror=alert(1)>"
KEY = b64encode(b"d" * 32).decode()
MORE = f"""
audit: {{{{file: "{{file}}", key: "{KEY}"}}}}
hooks:
  allow_private: [127.0.0.0/8]
  endpoints:
    - {{{{name: crm, url: "{{url}}", secret: "{SECRET}", events: [user.denied]}}}}
"""
FEW = """
  - {name: few, match: {path: "/few/*"}, auth: none, limits: [few], upstream: app}
  - {name: closed, match: {path: "/closed/*"}, allow: {roles: [x]}, upstream: app}
"""
WITHIN_S = 20
WATCH = """
window.clicks = 0;
addEventListener("click", () => { clicks += 1; }, true);
window.violations = [];
addEventListener("securitypolicyviolation", (found) => violations.push(found.violatedDirective));
"""
CONNECTIONS = 8
"""Connections of one person: with two workers, one in 128 times all are of one."""


class Operated(NamedTuple):
    """A gateway with two workers, its audit file, and what takes its events."""

    site: Site
    file: Path
    receiver: HookReceiver
    dialogs: list[str]

    @property
    def url(self) -> str:
        """Where the dashboard is."""
        return f"http://127.0.0.1:{self.site.world.gateway.admin_port}/"

    async def page(self) -> Page:
        """The dashboard in a browser of its own."""
        context = await self.site.new_context()
        await context.add_init_script(WATCH)
        page = await context.new_page()
        page.on("dialog", lambda shown: self.dialogs.append(shown.message))
        await page.goto(self.url)
        await expect(page.locator("#status")).to_have_text("ok")
        return page

    def lines(self, kind: str) -> list[dict[str, Any]]:
        """The audit lines of one kind."""
        lines = map(json.loads, whole_lines(self.file))
        return [line for line in lines if line["event"] == kind]

    def done(self) -> list[str]:
        """The audit lines of what was not refused."""
        lines = self.file.read_text().splitlines()
        return [line for line in lines if json.loads(line)["event"] != "admin.refused"]

    async def until_line(self, kind: str, count: int) -> dict[str, Any]:
        """The last audit line of a kind, once there are so many."""
        async with asyncio.timeout(WITHIN_S):
            while len(found := self.lines(kind)) < count:
                await asyncio.sleep(0.01)
        assert count == len(found)
        assert ("admin-api", "127.0.0.1") == (found[-1]["actor"], found[-1]["from"])
        return found[-1]


@asynccontextmanager
async def _operated(folder: Path) -> AsyncIterator[Operated]:
    file, port = folder.parent / "audit.jsonl", free_port()
    async with (
        receiving() as receiver,
        site(
            folder,
            admin=f'{{listen: "127.0.0.1:{port}"}}',
            workers="2",
            more=MORE.format(file=file, url=receiver.url("/crm")),
            more_limits="  few: {rate: 3/day}\n",
            more_routes=FEW,
        ) as running,
    ):
        yield Operated(running, file, receiver, [])


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Operated]:
    folder = tmp_path_factory.mktemp("operated") / MARKUP
    folder.mkdir()
    async with _operated(folder) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def at(shared: Operated) -> AsyncIterator[Operated]:
    """The gateway; afterwards no browser has complained, nor run what it was sent."""
    shared.site.faults.clear()
    yield shared
    for context in shared.site.contexts:
        for page in context.pages:
            if page.url.startswith(shared.url):
                assert [] == await page.evaluate("window.violations ?? []")
        await context.close()
    shared.site.contexts.clear()
    assert [] == shared.dialogs
    assert [] == shared.site.faults


async def _letter(at: Operated, name: str) -> None:
    """Give up an event for the endpoint."""
    async with redis_client(at.site.world.store.url, 2) as client:
        claim = Claim(ALICE.issuer, 1, "1", event(name), Attempts())
        tried = Attempts(13, 1_700_000_000_000, f"status 503 {MARKUP}")
        await DeadLetters(RedisStore(client, "", 2), "").keep(endpoint("crm"), claim, tried)


async def _done(page: Page, button: str, said: str) -> None:
    """Confirm what the dialog asks, and read what came of it."""
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("button", name=button).click()
    await expect(dialog.get_by_role("status")).to_contain_text(said)
    await dialog.get_by_role("button", name="Close").click()


async def _found(page: Page, who: str) -> Locator:
    """Search a person, and open its sessions."""
    await page.get_by_label("Email address, @domain or issuer").fill(who)
    await page.get_by_role("button", name="Search").click()
    await page.locator("#people-found").get_by_role("button", name="Sessions").click()
    return page.get_by_role("dialog")


async def test_a_refusal_is_explained_by_three_clicks(at: Operated) -> None:
    """From the page as it opens to the stage that refused the request, and the limit's name."""
    for _ in range(4):
        await at.site.world.get("/few/x")
    page = await at.page()
    await page.get_by_role("link", name="Refusals").click()
    row = page.locator("#recent tr", has_text="/few/x").first
    await row.get_by_role("button", name="Explain").click()
    await expect(page.get_by_role("dialog").locator("li.refused")).to_contain_text("few")
    assert 3 >= await page.evaluate("clicks")


async def test_a_limit_is_reset(at: Operated) -> None:
    """The next request of the caller passes."""
    world, page = at.site.world, await at.page()
    assert 429 == (await world.get("/few/x")).status
    row = page.locator("#recent tr", has_text="/few/x").first
    await row.get_by_role("button", name="Reset").click()
    assert 429 == (await world.get("/few/x")).status, "nothing is done before it is confirmed"
    await _done(page, "Begin from zero", "127.0.0.1 begins from zero")
    assert 200 == (await world.get("/few/x")).status
    line = await at.until_line("limit.reset", 1)
    assert ("few", "127.0.0.1") == (line["details"]["limit"], line["subject"])


async def test_one_session_is_ended(at: Operated) -> None:
    """And the other of the same person stays."""
    world = at.site.world
    cookies = [await world.sign_in(ALICE) for _ in range(2)]
    page = await at.page()
    dialog = await _found(page, "alice@example.com")
    await dialog.get_by_role("button", name="End").first.click()
    await _done(page, "End the session", "1 session ended")
    sessions = page.locator("#people-found tbody tr").get_by_role("cell").nth(2)
    await expect(sessions).to_have_text("1")
    assert [200, 401] == sorted([(await world.get("/x", each)).status for each in cookies])
    assert ALICE.issuer == (await at.until_line("session.revoked", 1))["subject"]


async def test_a_person_is_revoked_at_both_workers(at: Operated) -> None:
    """On connections that are open, too; another person stays signed in."""
    world = at.site.world
    cookie, other = await world.sign_in(ALICE), await world.sign_in(BOB)
    page = await at.page()
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(connected(world.port)) for _ in range(CONNECTIONS)
        ]

        async def statuses(field: str) -> list[int]:
            asked = f"GET /x HTTP/1.1\r\nHost: localhost\r\n{field}\r\n\r\n".encode()
            return [(await (await each.send(asked)).answer()).status for each in clients]

        assert [200] * CONNECTIONS == await statuses(cookie)
        await _found(page, ALICE.issuer)
        dialog = page.get_by_role("dialog")
        await dialog.get_by_role("button", name="Revoke all").click()
        await dialog.get_by_role("button", name="Revoke").click()
        await expect(dialog.get_by_role("status")).to_contain_text("ended")
        async with asyncio.timeout(WITHIN_S):
            while {401} != set(await statuses(cookie)):
                pass
        assert [200] * CONNECTIONS == await statuses(other)
    assert ALICE.issuer == (await at.until_line("issuer.revoked", 1))["subject"]


async def test_a_dead_letter_is_replayed(at: Operated) -> None:
    """It is delivered, and gone from the list."""
    await _letter(at, "evt-1")
    page = await at.page()
    row = page.locator("#hooks-view tr", has_text="evt-1")
    await row.get_by_role("button", name="Replay").click()
    await _done(page, "Replay", "1 queued again, 0 left")
    await at.receiver.until(lambda: "evt-1" in {each.id for each in at.receiver.attempts})
    await expect(row).to_have_count(0)
    line = await at.until_line("hooks.replayed", 1)
    assert ("crm", ["evt-1"]) == (line["subject"], line["details"]["events"])


async def test_what_waits_for_an_endpoint_is_told(at: Operated) -> None:
    """While the page is open: it grows, and falls once it was delivered."""
    page = await at.page()
    row = page.locator("#hooks-view tr", has_text="crm").first
    await expect(row.get_by_role("cell").nth(1)).to_have_text("0")
    at.receiver.held.add("/crm")
    bearer = at.site.world.bearer(ALICE)
    assert 403 == (await fetch(at.site.world.port, "GET", "/closed/x", bearer)).status
    await expect(row.get_by_role("cell").nth(1)).to_have_text("1")
    await at.receiver.release("/crm")
    await expect(row.get_by_role("cell").nth(1)).to_have_text("0")
    at.site.refusals.clear()


async def test_a_config_with_a_fault_is_refused(at: Operated) -> None:
    """The problem is shown in the dialog and in the list; the next one is applied."""
    config, page = at.site.world.gateway.config, await at.page()
    text = config.read_text()
    config.write_text(f'{text}\n"{MARKUP}": 1\n')
    try:
        await page.get_by_role("button", name="Reload the config").click()
        dialog = page.get_by_role("dialog")
        await dialog.get_by_role("button", name="Reload").click()
        await expect(dialog.get_by_role("alert")).to_contain_text(MARKUP)
        await dialog.get_by_role("button", name="Close").click()
        await expect(page.locator("#config-view")).to_contain_text(MARKUP)
    finally:
        config.write_text(text)
    await page.get_by_role("button", name="Reload the config").click()
    await _done(page, "Reload", "the config was applied")


async def test_what_clients_send_is_text(at: Operated) -> None:
    """Agent, path, address, event, failure and the path of the config: none becomes markup."""
    world = at.site.world
    path = "/few/%3Cimg%20src=x%20onerror=alert(1)%3E"
    for _ in range(4):
        await fetch(world.port, "GET", path, f"User-Agent: {MARKUP}")
    bob = await _signed_in_as(at, BOB, f"{MARKUP.replace(' ', '/')}@example.com")
    await _letter(at, MARKUP)
    page = await at.page()
    await expect(page.locator("#hooks-view")).to_contain_text(MARKUP)
    await expect(page.locator("#hooks-view")).to_contain_text(f"status 503 {MARKUP}")
    await expect(page.locator("#config-view")).to_contain_text(MARKUP)
    row = page.locator("#recent tr", has_text="onerror").first
    await row.get_by_role("button", name="Explain").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text(MARKUP)
    await dialog.get_by_role("button", name="Close").click()
    await _found(page, BOB.issuer)
    await expect(dialog).to_contain_text(BOB.issuer)
    assert 0 == await page.locator("[onerror], main script, main img, dialog img").count()
    assert 200 == (await world.get("/x", bob)).status


async def _signed_in_as(at: Operated, by: TokenSigner, email: str) -> str:
    world = at.site.world
    bearer = world.bearer(by)
    world.magic.add_user(by.issuer, email)
    answer = await fetch(world.port, "POST", "/_gateway/session", bearer, f"User-Agent: {MARKUP}")
    assert 201 == answer.status
    return "Cookie: " + answer.value("Set-Cookie").partition(";")[0]


FORGED = """async (url) => {
  const json = { "Content-Type": "application/json" };
  const told = [];
  const asked = [
    ["api/actions/drain", { method: "POST", headers: json, body: "{}" }],
    ["api/actions/drain", { method: "POST", mode: "no-cors", body: "{}" }],
    ["api/actions/drain", { method: "POST", mode: "no-cors", credentials: "include",
      body: new Blob(["{}"], { type: "text/plain" }) }],
    ["api/revocations", { method: "POST", mode: "no-cors", body: '{"issuer": "x"}' }],
    ["api/people?q=", {}], ["api/config", {}], ["metrics", {}],
  ];
  for (const [path, options] of asked) {
    const read = fetch(url + path, options).then((answer) => answer.text());
    told.push(await read.catch(() => ""));
  }
  const events = new EventSource(url + "api/events");
  told.push(await new Promise((tell) => {
    events.onmessage = events.onopen = () => tell("open");
    events.onerror = () => tell("");
  }));
  events.close();
  return told;
}"""
FORM = """(url) => {
  const form = '<form method="post" enctype="text/plain"><input name="{}" value=""></form>';
  document.body.innerHTML = form;
  document.forms[0].action = url + "api/actions/drain";
  document.forms[0].submit();
}"""


async def _foreign(at: Operated) -> Page:
    """A page of another origin, which the app serves."""
    page_bytes = b"<!doctype html><title>other</title><body></body>"
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n"
    at.site.world.app.answer("/public/other", head % len(page_bytes) + page_bytes)
    return await at.site.page("/public/other")


async def test_a_page_of_another_origin_does_and_reads_nothing(at: Operated) -> None:
    """By fetch, by events or by a form; the browser itself is on the operator's machine."""
    page = await _foreign(at)
    before = at.done()
    statuses: dict[str, int] = {}
    page.on("response", lambda answer: statuses.update({answer.url: answer.status}))
    assert [""] * 8 == await page.evaluate(FORGED, at.url)
    async with page.expect_response(lambda answer: "drain" in answer.url) as answered:
        await page.evaluate(FORM, at.url)
    assert (await answered.value).status in {403, 415}
    refused = {status for url, status in statuses.items() if url.startswith(f"{at.url}api/")}
    assert refused
    assert {403, 405, 415} >= refused
    assert before == at.done()
    async with asyncio.timeout(WITHIN_S):
        while not (refusals := at.lines("admin.refused")):
            await asyncio.sleep(0.01)
    assert {"forbidden"} == {line["reason"] for line in refusals}
    assert 200 == (await at.site.world.get("/public/x")).status
    at.site.faults.clear()  # browsers complain of what they do not let pages read


async def test_a_rebound_name_is_refused(at: Operated) -> None:
    """A name of a foreign page that leads to the listener is none of its hosts."""
    rule = (
        f"--host-resolver-rules=MAP rebound.example:80 127.0.0.1:{at.site.world.gateway.admin_port}"
    )
    async with chromium(1, rule) as browser:
        page = await browser.new_page()
        answer = await page.goto("http://rebound.example/")
        assert answer is not None
        assert 403 == answer.status
        for path in ("api/people?q=", "api/config", "metrics", "api/events"):
            status = await page.evaluate(
                "(path) => fetch(path).then((found) => found.status)", path
            )
            assert 403 == status, path
        drain = """() => fetch("api/actions/drain", {
          method: "POST", headers: { "Content-Type": "application/json" }, body: "{}",
        }).then((found) => found.status)"""
        assert 403 == await page.evaluate(drain)
    assert 200 == (await at.site.world.get("/public/x")).status


async def _asked(page: Page) -> int:
    shown = page.locator("#totals dt", has_text="Requests in all").locator("+ dd")
    return int((await shown.inner_text()).replace(",", ""))


async def test_the_page_outlasts_a_reload_and_a_worker(at: Operated) -> None:
    """A new route is there, totals never fall, and no rate is negative."""
    world, page = at.site.world, await at.page()
    await page.evaluate("window.opened = 'once'")
    config = world.gateway.config
    config.write_text(config.read_text().replace("name: few, match", "name: renamed, match"))
    world.gateway.process.send_signal(signal.SIGHUP)
    await expect(page.locator("#config-view")).to_contain_text("SIGHUP")
    await world.get("/few/x")
    await expect(page.locator("#routes")).to_contain_text("renamed")

    before = await _asked(page)
    serving = world.gateway.children()
    os.kill(world.gateway.workers()[1], signal.SIGKILL)
    successor = await world.gateway.successor(serving)
    os.kill(successor, signal.SIGSTOP)  # it is down for as long as it takes to see that
    row = page.locator("#workers tr", has_text="worker 1")
    try:
        await expect(row).to_contain_text("down")
        assert before <= await _asked(page)
    finally:
        os.kill(successor, signal.SIGCONT)
    await expect(row).to_contain_text("up")
    await expect(page.locator("#totals")).to_contain_text(
        "Workers restarted 1", use_inner_text=True
    )
    assert before <= await _asked(page)
    assert "-" not in (await row.inner_text()).replace("worker-", "")
    assert "once" == await page.evaluate("opened"), "the page was not loaded again"


async def test_draining_and_a_start_anew(at: Operated, tmp_path: Path) -> None:
    """The events end, the page says so, and goes on with the next gateway; the last test."""
    world, page = at.site.world, await at.page()
    await page.evaluate("window.opened = 'once'")
    await page.get_by_role("button", name="Drain").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("button", name="Close").click()
    assert 200 == (await world.get("/public/x")).status
    await page.get_by_role("button", name="Drain").click()
    await dialog.get_by_role("button", name="Drain").click()
    async with asyncio.timeout(WITHIN_S):
        assert 0 == await world.gateway.process.wait()
    await at.until_line("gateway.drained", 1)
    await expect(page.locator("#live")).to_contain_text("not connected")
    await expect(page.locator("#headline")).to_contain_text(
        "No figures come from the gateway since"
    )
    await expect(page.locator("#status")).to_have_text("unknown")
    await dialog.get_by_role("button", name="Close").click()
    await page.get_by_role("button", name="Search").click()
    await expect(page.locator("#people-said")).to_have_text("The gateway does not answer.")
    async with gateway(world.gateway.config.read_text(), tmp_path):
        await expect(page.locator("#live")).not_to_contain_text("not connected")
        await expect(page.locator("#status")).to_have_text("ok")
        await expect(page.locator("#headline")).not_to_contain_text("No figures")
        assert "once" == await page.evaluate("opened"), "the page was not loaded again"
        assert [] == await page.evaluate("window.violations")
    await page.context.close()  # it goes on to ask the gateway, which has ended
    at.site.faults.clear()
