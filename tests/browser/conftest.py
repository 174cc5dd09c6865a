"""A gateway, Magic's two halves as local fakes, and a real browser in front of them."""

import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

from gateway.identity.minting import Signer
from tests.fakes.relayer import FakeRelayer
from tests.fakes.world import World, world

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
EMAIL = "ada@example.com"
ORIGIN = "http://localhost"
"""Chromium is told where that is; every gateway of the tests has a port of its own."""

expect.set_options(timeout=15_000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """These tests take a browser and longer than others."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("browser")
            item.add_marker(pytest.mark.timeout(120))
            if CHROMIUM is None:
                item.add_marker(pytest.mark.skip(reason="Chromium is needed"))


@dataclass(slots=True)
class Site:
    """What a person sees, and who is behind it."""

    world: World
    relayer: FakeRelayer
    browser: Browser
    faults: list[str] = field(default_factory=list)
    """What browsers complained of; empty at the end of every test."""
    expected: tuple[str, ...] = ("Failed to load resource",)
    """A refusal that is part of the story is also an error on the console."""
    contexts: list[BrowserContext] = field(default_factory=list)

    async def somebody(self, **options: object) -> BrowserContext:
        """A browser of one person: cookies and storage of its own."""
        context = await self.browser.new_context(base_url=ORIGIN, locale="en-GB", **options)  # type: ignore[arg-type]
        context.set_default_timeout(15_000)
        context.on("weberror", lambda error: self.faults.append(str(error.error)))
        context.on(
            "console",
            lambda said: (
                self.faults.append(said.text)
                if said.type in ("error", "warning") and not said.text.startswith(self.expected)
                else None
            ),
        )
        self.contexts.append(context)
        return context

    async def page(self, path: str = "/_gateway/login", **options: object) -> Page:
        """A new browser at ``path``."""
        page = await (await self.somebody(**options)).new_page()
        await page.goto(path)
        return page


@asynccontextmanager
async def site(folder: Path, **changes: str) -> AsyncIterator[Site]:
    """A site with changes to the world's config."""
    async with AsyncExitStack() as stack:
        users: dict[str, str] = {}
        around: World | None = None

        def learn(by: Signer, email: str) -> None:
            users[by.issuer] = email
            if around is not None:
                around.magic.add_user(by.issuer, email)

        relayer = FakeRelayer(learn)
        endpoint = await stack.enter_async_context(relayer.serving())
        magic = f', endpoint: "{endpoint}"'
        around = await stack.enter_async_context(
            world(folder, more_magic=magic, publishable_key="pk_test_0123456789", **changes)
        )
        playwright = await stack.enter_async_context(async_playwright())
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox",
                "--disable-dev-shm-usage",
                f"--host-resolver-rules=MAP localhost:80 127.0.0.1:{around.port}",
            ],
        )
        stack.push_async_callback(browser.close)
        yield Site(around, relayer, browser)


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
    shared_site.faults.clear()
    yield shared_site
    for context in shared_site.contexts:
        await context.close()
    shared_site.contexts.clear()
    assert [] == shared_site.faults
