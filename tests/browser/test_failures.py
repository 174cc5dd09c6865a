"""What people are told when the gateway cannot let them in."""

import pytest

from tests.browser.conftest import Site, alert, ask_for, give_code
from tests.fakes.magic import Mood

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_magic_does_not_answer_the_gateway(at: Site) -> None:
    """The page says that it can be tried again, not that access is denied."""
    at.world.magic.mood = Mood.UNAVAILABLE
    page = await at.page()
    await ask_for(page, "Email me a code", at.email)
    await give_code(page)
    await alert(page, "not possible right now")
    assert [(503, "/_gateway/session")] == at.refusals
    at.refusals.clear()
