"""The page of a refusal by itself."""

import pytest

from tests.fakes.http import Answer
from tests.fakes.pages import page_services, serving
from tests.fakes.ports import SESSION_IDENTITY


async def asked(path: str, *fields: str, is_signed_in: bool = False) -> Answer:
    """Ask for a page."""
    identity = SESSION_IDENTITY if is_signed_in else None
    async with serving(page_services([])) as pages:
        return await pages.ask(
            "GET", f"/refused/{path}", "X-Request-Id: 0a1b2c", *fields, identity=identity
        )


@pytest.mark.parametrize(
    "status", [400, 401, 403, 404, 408, 413, 421, 429, 431, 500, 502, 503, 504]
)
async def test_each_status_has_its_page(status: int) -> None:
    """With the status itself, so that it is kept as a refusal by caches and browsers."""
    answer = await asked(str(status), "Accept-Language: de")
    assert (status, "no-store") == (answer.status, answer.value("Cache-Control"))
    assert ("text/html; charset=utf-8", "de") == (
        answer.value("Content-Type"),
        answer.value("Content-Language"),
    )
    assert b"<code>0a1b2c</code>" in answer.body
    assert f'aria-hidden="true">{status}</p>'.encode() in answer.body
    assert (["Bearer"] if status == 401 else []) == answer.values("WWW-Authenticate")
    assert [] == answer.values("Set-Cookie")


@pytest.mark.parametrize("status", ["200", "302", "405", "999", "403x", "%34%30%33%0d", "-403"])
async def test_no_other_status_can_be_asked_for(status: str) -> None:
    """No link makes the gateway say what it never says."""
    assert 404 == (await asked(status)).status


@pytest.mark.parametrize(
    ("query", "seconds"),
    [
        ("?retry_after=17", "17"),
        ("?retry_after=99999", "86400"),
        ("?retry_after=0", "1"),
        ("?retry_after=", "1"),
        ("", "1"),
        ("?retry_after=999999999999", "1"),
        ("?retry_after=%3Cb%3E", "1"),
        ("?retry_after=%D9%A3", "1"),
        ("?retry_after=1&retry_after=2", "1"),
    ],
)
async def test_the_wait_is_that_of_the_answer(query: str, seconds: str) -> None:
    """What is no number of seconds is not shown."""
    answer = await asked(f"429{query}")
    assert seconds == answer.value("Retry-After")
    assert f'data-seconds="{seconds}"'.encode() in answer.body


async def test_who_is_signed_in_can_switch() -> None:
    """As on the page of the refusal itself."""
    answer = await asked("403", is_signed_in=True)
    assert b"You are signed in as alice@example.com." in answer.body
    assert b'action="/_gateway/logout?switch=true"' in answer.body
    assert b"signed in as" not in (await asked("403")).body
