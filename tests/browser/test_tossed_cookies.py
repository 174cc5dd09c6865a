"""Cookies with the session cookie's name that another host has set, in a real browser."""

import pytest

from tests.browser.conftest import ORIGIN, Site, ask_for, give_code, signed_in

pytestmark = pytest.mark.asyncio(loop_scope="module")

AMBIGUOUS = (400, "/_gateway/session")


@pytest.mark.parametrize(
    ("tossed", "refusals"),
    [
        pytest.param(["/_gateway/session"], [], id="one"),
        pytest.param(["/_gateway/session", "/_gateway"], [AMBIGUOUS], id="two"),
        pytest.param(["/", "/_gateway/session"], [AMBIGUOUS], id="in-the-place-of-ours"),
    ],
)
async def test_signing_in(at: Site, tossed: list[str], refusals: list[tuple[int, str]]) -> None:
    """The person gets in at the first go: the page asks again once the strangers are gone."""
    page = await at.page()
    for number, path in enumerate(tossed):
        await page.evaluate(f"document.cookie = 'session=tossed-{number}; path={path}'")
    await ask_for(page, "Email me a code", at.email)
    await give_code(page)
    await page.wait_for_url(ORIGIN + "/")
    assert [at.email] == at.world.app.seen[-1].values("X-User-Email")
    assert refusals == at.refusals
    at.refusals.clear()


async def test_being_signed_in(at: Site) -> None:
    """A page that is refused for the second cookie is there when it is loaded again."""
    page = await signed_in(at)
    await page.evaluate("document.cookie = 'session=tossed; path=/private'")
    refused = await page.goto("/private/x")
    assert refused
    assert 400 == refused.status
    answer = await page.reload()
    assert answer
    assert 200 == answer.status
    assert [at.email] == at.world.app.seen[-1].values("X-User-Email")
    assert [(400, "/private/x")] == at.refusals
    at.refusals.clear()
