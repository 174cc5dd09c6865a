"""The HTML pages."""

import pytest

from tests.fakes.pages import page_services, serving
from tests.fakes.ports import SESSION_IDENTITY


@pytest.mark.parametrize("path", ["/login", "/callback"])
async def test_a_page_loads_only_its_own_files(path: str) -> None:
    """And Magic's frame; no other site may frame the page."""
    async with serving(page_services([])) as pages:
        answer = await pages.ask("GET", path)
    assert (200, "text/html; charset=utf-8") == (answer.status, answer.value("Content-Type"))
    policy = answer.value("Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "no-referrer" == answer.value("Referrer-Policy")


@pytest.mark.parametrize(
    ("query", "place"),
    [
        pytest.param("", "/_gateway/account", id="the-account"),
        pytest.param("?return_to=/x", "/x", id="return-to"),
        pytest.param("?return_to=//evil.example", "/", id="open-redirect"),
    ],
)
async def test_a_caller_who_is_signed_in_is_redirected(query: str, place: str) -> None:
    """To the account, or to a place that is safe."""
    async with serving(page_services([])) as pages:
        answer = await pages.ask("GET", f"/login{query}", identity=SESSION_IDENTITY)
    assert (303, place) == (answer.status, answer.value("Location"))


@pytest.mark.parametrize("path", ["/login?return_to=/x", "/account"])
async def test_in_development_a_page_moves_to_the_public_origin(path: str) -> None:
    """From another loopback name, under which signing in would be refused."""
    async with serving(page_services([])) as pages:
        answer = await pages.ask("GET", path, identity=SESSION_IDENTITY, host="127.0.0.1:8080")
    mark = "&" if "?" in path else "?"
    place = f"http://localhost:8080/_gateway{path}{mark}moved=1"
    assert (303, place) == (answer.status, answer.value("Location"))


async def test_the_files_of_the_pages() -> None:
    """The current version is cached for good, another one not at all."""
    async with serving(page_services([])) as pages:
        page = (await pages.ask("GET", "/login")).body.decode()
        version = page.partition("/static/")[2].partition("/")[0]
        current = await pages.ask("GET", f"/static/{version}/pages.css")
        other = await pages.ask("GET", "/static/0/pages.css")
        module = await pages.ask("GET", "/static/renew.js")
        assert 404 == (await pages.ask("GET", f"/static/{version}/none.css")).status
    assert "immutable" in current.value("Cache-Control")
    assert "no-store" == other.value("Cache-Control")
    assert f"./{version}/renew.js".encode() in module.body
