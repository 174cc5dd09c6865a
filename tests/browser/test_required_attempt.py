"""Signing in where a session demands an attempt: the page does all that is asked of it."""

import pytest

from tests.browser.conftest import ORIGIN, Site, ask_for, give_code
from tests.fakes.http import fetch

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG_CHANGES = {"more_session": ", require_attempt: true"}


async def test_one_time_code_with_a_bound_token(at: Site) -> None:
    """The token bears the nonce, the browser its cookie; a deep link with its query is kept."""
    page = await at.page("/reports/7?x=1&y=%26")
    assert page.url.startswith(f"{ORIGIN}/_gateway/login?return_to=")
    await ask_for(page, "Email me a code", at.email)
    await give_code(page)
    await page.wait_for_url(f"{ORIGIN}/reports/7?x=1&y=%26")
    assert [at.email] == at.world.app.seen[-1].values("X-User-Email")


async def test_who_does_without_the_page_gets_no_session(at: Site) -> None:
    """The same token of Magic's without a nonce opens nothing."""
    bearer = at.world.bearer()
    answer = await fetch(at.world.port, "POST", "/_gateway/session", bearer)
    assert (403, "nonce_required") == (answer.status, answer.code)
