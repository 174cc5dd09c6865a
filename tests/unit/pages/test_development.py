"""``POST /development/token``."""

import pytest

from tests.fakes.pages import page_services, serving
from tests.fakes.ports import Diary


async def test_a_token_for_an_email() -> None:
    """Other processes learn of the user."""
    diary: Diary = []
    async with serving(page_services(diary)) as pages:
        answer = await pages.ask("POST", "/development/token?email=grace@example.com")
    assert 200 == answer.status
    assert answer.body.endswith(b"\n")
    assert ["learn grace@example.com"] == diary


@pytest.mark.parametrize(
    ("query", "field", "status"),
    [
        pytest.param("lifetime_s=0", "", 400, id="no-lifetime"),
        pytest.param("lifetime_s=604801", "", 400, id="too-long"),
        pytest.param("lifetime_s=inf", "", 400, id="for-ever"),
        pytest.param("lifetime_s=x", "", 400, id="no-number"),
        pytest.param("email=" + "x" * 255, "", 400, id="long-email"),
        pytest.param("attachment=" + "x" * 129, "", 400, id="long-attachment"),
        pytest.param("", "Origin: https://evil.example", 403, id="foreign-page"),
    ],
)
async def test_what_is_refused(query: str, field: str, status: int) -> None:
    """No token is minted."""
    diary: Diary = []
    async with serving(page_services(diary)) as pages:
        fields = [field] if field else []
        answer = await pages.ask("POST", f"/development/token?{query}", *fields)
    assert (status, []) == (answer.status, diary)
