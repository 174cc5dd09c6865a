"""What people see where the gateway itself refuses, each page from its cause."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import ORIGIN, Site, ask_for, give_code, signed_in
from tests.fakes.servers import eventually
from tests.fakes.upstream import Seen

pytestmark = pytest.mark.asyncio(loop_scope="module")

TEMPLATES = Path(__file__).with_name("templates")
"""One of them fails for a person that no check at the start could know."""

CONFIG_CHANGES = {
    "more_routes": """
  - {name: brief, match: {path: "/brief"}, auth: none, limits: [brief], upstream: app}
  - {name: gone, match: {path: "/gone"}, auth: none, upstream: gone}
  - {name: keys, match: {path: "/keys"}, accept: [api-key], upstream: app}
  - name: slow
    match: {path: "/slow"}
    auth: none
    upstream: app
    timeouts: {response: 300ms}
  - {name: staff, match: {path: "/staff"}, allow: [{roles: [staff]}], upstream: app}
""",
    "more_limits": "  brief: {rate: 1/3seconds}",
    "more_upstreams": '  gone: {servers: ["http://127.0.0.1:1"]}',
    "more": f"credentials: {{api_keys: {{}}}}\npages: {{templates: {TEMPLATES}}}",
    "max": "{body: 1KiB}",
    "timeouts": "{body_idle: 1s}",
}


def refused(at: Site, *expected: tuple[int, str]) -> None:
    """The refusals of this test are those that it wanted."""
    assert set(expected) == set(at.refusals)
    at.refusals.clear()


async def submit(page: Page, text: str) -> None:
    """Send a form with ``text``, as people do."""
    await page.evaluate(
        """text => {
          const form = document.createElement("form");
          form.method = "post";
          form.enctype = "text/plain";
          form.append(document.createElement("textarea"));
          form.firstChild.name = "text";
          form.firstChild.value = text;
          document.body.append(form);
          form.submit();
        }""",
        text,
    )


@pytest.mark.parametrize(
    ("path", "status", "title"),
    [
        ("/public/a%00b", 400, "This request cannot be understood."),
        ("/keys", 401, "You need to sign in to see this page."),
        ("/_gateway/nothing", 404, "There is no page at this address."),
        ("/slow", 504, "The application took too long to answer."),
    ],
)
async def test_refusals(at: Site, path: str, status: int, title: str) -> None:
    """The page says what happened in one sentence, with the id of the log's line."""

    async def silent(_: Seen, __: asyncio.StreamWriter) -> None:
        """Keep the connection, and say nothing."""

    at.world.app.answers["/slow"] = silent
    page = await at.page()
    answer = await page.goto(path)
    assert answer is not None
    await expect(page.get_by_role("heading")).to_have_text(title)
    await expect(page.locator("code")).to_have_text(answer.headers["x-request-id"])
    refused(at, (status, path))


async def test_an_app_that_was_stopped(at: Site) -> None:
    """The page says so; trying again shows the app as soon as it is back."""
    await at.world.app.stop()
    page = await at.page("/public/x")
    await expect(page.get_by_role("heading")).to_have_text(
        re.compile("does not answer as it should|cannot answer right now")
    )
    await at.world.app.start()
    retry = page.get_by_role("link", name="Try again")
    await expect(retry).not_to_have_attribute("aria-disabled", "true")
    await retry.click()
    await expect(page.get_by_text("hello")).to_be_visible()
    assert {"/public/x"} == {path for _, path in at.refusals}
    at.refusals.clear()


async def test_a_limit(at: Site) -> None:
    """The wait is counted down; then one is let in."""
    page = await (await at.new_context()).new_page()
    await page.clock.install(time=0)
    await page.clock.pause_at(1)  # the wait is read before it is over
    while await page.get_by_role("heading").count() == 0:
        await at.world.get("/brief")
        await page.goto("/brief")
    await expect(page.get_by_role("status")).to_contain_text(re.compile(r"in [1-3] seconds?"))
    retry = page.get_by_role("link", name="Try again")
    await expect(retry).to_have_attribute("aria-disabled", "true")
    await page.clock.resume()
    await expect(page.get_by_role("status")).to_have_text("You can try again now.")
    await retry.click()
    await expect(page.get_by_text("hello")).to_be_visible()
    refused(at, (429, "/brief"))


@pytest.mark.parametrize(
    ("locale", "long", "short"),
    [
        ("en-GB", "10 hours, 17 minutes", "2 minutes"),
        ("de-DE", "10 Stunden, 17 Minuten", "2 Minuten"),
    ],
)
async def test_a_long_wait(at: Site, locale: str, long: str, short: str) -> None:
    """Hours are told as hours, aloud and in the countdown."""
    page = await at.page("/_gateway/nothing", locale=locale)
    told = await page.evaluate(
        """async () => {
          const { src } = document.querySelector("script[src$='error.js']");
          const { clock, duration } = await import(new URL("countdown.js", src));
          return [duration(36968), duration(61), clock(36968), clock(61)];
        }"""
    )
    assert [long, short, "10:16:08", "1:01"] == told
    refused(at, (404, "/_gateway/nothing"))


async def test_no_right_to_a_page(at: Site) -> None:
    """Another account is a click away, and leads back to the page."""
    page = await signed_in(at)
    await page.goto("/staff")
    await expect(page.get_by_text(f"You are signed in as {at.email}.")).to_be_visible()
    await page.get_by_role("button", name="Switch account").click()
    await page.wait_for_url(ORIGIN + "/_gateway/login?return_to=/staff")
    await ask_for(page, "Email me a code", f"other-{at.email}")
    await give_code(page)
    await expect(page.get_by_text(f"You are signed in as other-{at.email}.")).to_be_visible()
    await page.get_by_role("button", name="Log out").click()
    await page.wait_for_url(ORIGIN + "/_gateway/signed-out")
    refused(at, (403, "/staff"))


async def test_a_store_that_is_stopped(at: Site) -> None:
    """The session cannot be checked; the page says how long to wait."""
    page = await signed_in(at, "/me")
    cookies = await page.context.cookies()
    session = next(cookie for cookie in cookies if cookie["name"] == "session")
    context = await at.new_context()
    await context.add_cookies([{**session, "value": "a" * 43}])  # type: ignore[typeddict-item]
    fresh = await context.new_page()
    at.world.store.pause()
    try:
        await fresh.goto("/optional/x")
        await expect(fresh.get_by_role("heading")).to_have_text(
            "This site cannot answer right now."
        )
    finally:
        at.world.store.resume()
    refused(at, (503, "/optional/x"))


async def test_a_form_that_is_too_large(at: Site) -> None:
    """The person can go back to it."""
    page = await at.page("/public/form")
    await submit(page, "x" * 2000)
    await expect(page.get_by_role("heading")).to_have_text("What you sent is too large.")
    refused(at, (413, "/public/form"))


async def test_more_cookies_than_are_taken(at: Site) -> None:
    """The head is refused before it is parsed; the page comes all the same."""
    page = await at.page("/public/x")
    cookies = [{"name": f"c{n}", "value": "x" * 4000, "url": ORIGIN} for n in range(20)]
    await page.context.add_cookies(cookies)  # type: ignore[arg-type] # a dict is one
    await page.goto("/public/x")
    await expect(page.get_by_role("heading")).to_have_text(
        "Your browser has sent too much at once."
    )
    await page.context.clear_cookies()
    await page.get_by_role("link", name="Try again").click()
    await expect(page.get_by_text("hello")).to_be_visible()
    assert (431, "/public/x") in at.refusals
    at.refusals.clear()


@asynccontextmanager
async def stalling(port: int) -> AsyncIterator[str]:
    """A network to the gateway that loses the last bytes of each form; yields it as a proxy."""

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)

        async def answers() -> None:
            while data := await there.read(65536):
                writer.write(data)

        answering = asyncio.create_task(answers())
        while data := await reader.read(65536):
            back.write(data.removesuffix(b"the end\r\n"))
        back.close()
        await answering
        writer.close()

    server = await asyncio.start_server(carry, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def test_a_form_that_does_not_arrive(at: Site) -> None:
    """On a network that stalls, the person is told so, and can send it again."""
    async with stalling(at.world.port) as network:
        page = await at.page("/public/form", proxy={"server": network, "bypass": "<-loopback>"})
        await submit(page, "not all of it reaches the end")
        await expect(page.get_by_role("heading")).to_have_text(
            "Your request took too long to arrive."
        )
        await expect(page.get_by_role("link", name="Try again")).to_be_visible()
        await page.context.close()
    refused(at, (408, "/public/form"))


async def _is_logged(at: Site, status: int, request_id: object) -> bool:
    """Whether the access log has the line of a request: lines are written ten times a second."""
    lines = at.world.gateway.log_lines()
    return (status, request_id) in [(line["status"], line["id"]) for line in lines]


async def test_a_fault_of_the_gateway(at: Site) -> None:
    """A page of a site's own that fails, for one person alone: there is an id to quote."""
    await signed_in(at)
    at.email = f"without-a-page-{at.email}"
    page = await signed_in(at)
    await expect(page.get_by_role("heading")).to_have_text("Something went wrong on our side.")
    quoted = await page.locator("code").text_content()
    await eventually(partial(_is_logged, at, 500, quoted), within_s=20)
    assert "ZeroDivisionError" not in await page.content()
    refused(at, (500, "/_gateway/account"))


async def test_signing_out(at: Site) -> None:
    """A button signs out; the page after it leads back."""
    page = await signed_in(at, "/me")
    await page.goto("/_gateway/logout")
    await page.get_by_role("button", name="Log out").click()
    await page.wait_for_url(ORIGIN + "/_gateway/signed-out")
    await expect(page.get_by_role("heading")).to_have_text("You are signed out")
    await page.get_by_role("link", name="Sign in again").click()
    await page.wait_for_url(ORIGIN + "/_gateway/login?return_to=/")


async def test_the_language_of_a_refusal(at: Site) -> None:
    """The switch comes back to the same address, without scripts, too."""
    page = await at.page("/gone?a=b", java_script_enabled=False)
    await page.get_by_role("link", name="Español").click()
    await page.wait_for_url(ORIGIN + "/gone?a=b")
    await expect(page.get_by_role("heading")).to_have_text(
        re.compile("no responde como debería|no puede responder ahora")
    )
    assert {"/gone"} == {path for _, path in at.refusals}
    at.refusals.clear()
