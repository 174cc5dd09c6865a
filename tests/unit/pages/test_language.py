"""The switch of the language."""

import pytest

from tests.fakes.pages import ORIGIN, page_services, serving


@pytest.mark.parametrize(
    ("query", "referer", "place"),
    [
        pytest.param("", f"{ORIGIN}/shop?q=1", "/shop?q=1", id="the-page-it-is-on"),
        pytest.param("", f"{ORIGIN}/_gateway/account", "/_gateway/account", id="an-own-page"),
        pytest.param(
            "&return_to=/_gateway/login%3Freturn_to%3D/x",
            "",
            "/_gateway/login?return_to=/x",
            id="the-login-page",
        ),
        pytest.param("", "", "/", id="nowhere"),
        pytest.param("", "https://evil.example/", "/", id="another-site"),
        pytest.param("&return_to=//evil.example", "", "/", id="a-link-to-another-site"),
        pytest.param("", f"{ORIGIN}/_gateway/language?to=de", "/", id="no-loop"),
    ],
)
async def test_the_switch_leads_back(query: str, referer: str, place: str) -> None:
    """It sets a cookie, and goes to no other site."""
    async with serving(page_services([])) as pages:
        fields = [f"Referer: {referer}"] if referer else []
        answer = await pages.ask("GET", f"/language?to=de{query}", *fields)
    assert (303, place) == (answer.status, answer.value("Location"))
    expected = "gateway-lang=de; Path=/; Max-Age=31536000; SameSite=Lax; HttpOnly"
    assert expected == answer.value("Set-Cookie")


@pytest.mark.parametrize("query", ["", "?to=xx", "?to=de&to=fr", "?to=de%0d%0aSet-Cookie:x=1"])
async def test_languages_that_are_not_offered(query: str) -> None:
    """What is set is one of a list."""
    async with serving(page_services([])) as pages:
        answer = await pages.ask("GET", f"/language{query}")
    assert 400 == answer.status
    assert [] == answer.values("Set-Cookie")
