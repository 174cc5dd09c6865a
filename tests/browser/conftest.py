"""A gateway, Magic's two halves as local fakes, and a real browser in front of them."""

import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import count
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Response,
    async_playwright,
    expect,
)

from gateway.authn.did_token.mint import TokenSigner
from tests.fakes.relayer import CODE, FakeRelayer
from tests.fakes.world import World, world

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_NUMBERS = count(1)
ORIGIN = "http://localhost"
"""Chromium is told where that is; every gateway of the tests has a port of its own."""
PATIENCE_MS = 30_000

expect.set_options(timeout=PATIENCE_MS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """These tests take a browser and longer than others."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("browser")
            item.add_marker(pytest.mark.timeout(300))
            if CHROMIUM is None:
                item.add_marker(pytest.mark.skip(reason="Chromium is needed"))


@dataclass
class Site:
    """What a person sees, and who is behind it."""

    world: World
    relayer: FakeRelayer
    browser: Browser
    faults: list[str] = field(default_factory=list)
    """What browsers complained of; empty at the end of every test."""
    refusals: list[tuple[int, str]] = field(default_factory=list)
    """What the gateway has said no to: status and path. A test that expects some clears it."""
    email: str = ""
    """Of the person of this test: the throttle counts each by itself."""
    contexts: list[BrowserContext] = field(default_factory=list)

    async def new_context(self, **options: object) -> BrowserContext:
        """A browser of one person: cookies and storage of its own."""
        made = {"base_url": ORIGIN, "locale": "en-GB", **options}
        context = await self.browser.new_context(**made)  # type: ignore[arg-type]
        context.set_default_timeout(PATIENCE_MS)
        context.on("weberror", lambda error: self.faults.append(str(error.error)))
        context.on("console", self._heard)
        context.on("response", self._answered)
        self.contexts.append(context)
        return context

    def _heard(self, said: ConsoleMessage) -> None:
        is_refusal = said.text.startswith("Failed to load resource: the server responded")
        if said.type in ("error", "warning") and not is_refusal:  # those are counted below
            self.faults.append(said.text)

    def _answered(self, answer: Response) -> None:
        if answer.status >= HTTPStatus.BAD_REQUEST:
            self.refusals.append((answer.status, urlsplit(answer.url).path))

    async def page(self, path: str = "/_gateway/login", **options: object) -> Page:
        """A new browser at ``path``."""
        page = await (await self.new_context(**options)).new_page()
        await page.goto(path)
        return page


@asynccontextmanager
async def chromium(port: int, *more: str) -> AsyncIterator[Browser]:
    """A browser to which the gateway at ``port`` is the site at `ORIGIN`."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox",
                "--disable-dev-shm-usage",
                f"--host-resolver-rules=MAP localhost:80 127.0.0.1:{port}",
                *more,
            ],
        )
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def site(folder: Path, **changes: str) -> AsyncIterator[Site]:
    """A site with changes to the world's config."""
    async with AsyncExitStack() as stack:
        around: World | None = None

        def learn(by: TokenSigner, email: str) -> None:
            if around is not None:
                is_phone = email.startswith("+")
                around.magic.add_user(
                    by.issuer,
                    None if is_phone else email,
                    phone_number=email if is_phone else None,
                )

        relayer = FakeRelayer(learn)
        endpoint = await stack.enter_async_context(relayer.serving())
        magic = f', endpoint: "{endpoint}"'
        around = await stack.enter_async_context(
            world(folder, more_magic=magic, publishable_key="pk_test_0123456789", **changes)
        )
        browser = await stack.enter_async_context(chromium(around.port))
        yield Site(around, relayer, browser)


async def alert(page: Page, said: str) -> None:
    """The page says what went wrong, in words and to screen readers."""
    await expect(page.get_by_role("alert")).to_contain_text(said)


async def ask_for(page: Page, button: str, email: str) -> None:
    """Write the address and press ``button``."""
    await page.get_by_label("Email address").fill(email)
    await page.get_by_role("button", name=button).click()


async def give_code(page: Page, code: str = CODE) -> None:
    """Write the code from the email."""
    await page.get_by_label("Code", exact=True).fill(code)
    await page.get_by_role("button", name="Continue").click()


async def signed_in(at: "Site", path: str = "/_gateway/account", **options: object) -> Page:
    """A page at ``path``, of a browser that has just signed in with a code."""
    page = await at.page(f"/_gateway/login?return_to={quote(path)}", **options)
    await ask_for(page, "Email me a code", at.email)
    await give_code(page)
    await page.wait_for_url(ORIGIN + path)
    return page


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def shared_site(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> AsyncIterator[Site]:
    """A site with the changes that the module names in ``CONFIG_CHANGES``."""
    changes = getattr(request.module, "CONFIG_CHANGES", {})
    async with site(tmp_path_factory.mktemp("gateway"), **changes) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def at(shared_site: Site) -> AsyncIterator[Site]:
    """The module's site, as new; afterwards no browser has complained of anything."""
    learn = shared_site.relayer._learn
    shared_site.relayer.__init__(learn)  # type: ignore[misc]
    shared_site.world.forget()
    shared_site.email = f"ada-{next(_NUMBERS)}@example.com"
    shared_site.faults.clear()
    shared_site.refusals.clear()
    yield shared_site
    for context in shared_site.contexts:
        await context.close()
    shared_site.contexts.clear()
    assert [] == shared_site.faults
    assert [] == shared_site.refusals
