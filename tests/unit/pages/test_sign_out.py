"""The pages of signing out."""

import pytest

from tests.fakes.pages import page_services, serving
from tests.fakes.ports import SESSION_IDENTITY


async def test_a_button_signs_out() -> None:
    """The page names who is signed in, and changes nothing by itself."""
    diary: list[str] = []
    async with serving(page_services(diary)) as pages:
        answer = await pages.ask("GET", "/logout", identity=SESSION_IDENTITY)
    assert 200 == answer.status
    assert "same-origin" == answer.value("Referrer-Policy")
    assert [] == answer.values("Set-Cookie")
    assert b'<form method="post" action="/_gateway/logout">' in answer.body
    assert b"You are signed in as alice@example.com." in answer.body
    assert [] == diary


@pytest.mark.parametrize(
    ("query", "action", "policy"),
    [
        ("?return_to=/shop%3Fa", b"/logout?return_to=/shop%3Fa", "'self'"),
        ("?return_to=//evil.example", b"/logout?return_to=/", "'self'"),
        (
            "?return_to=https://shop.example.com/x",
            b"/logout?return_to=https%3A//shop.example.com/x",
            "'self' https://shop.example.com",
        ),
    ],
    ids=["a-page", "another-site", "a-listed-host"],
)
async def test_the_way_back_is_kept(query: str, action: bytes, policy: str) -> None:
    """By the rules of signing in; the policy lets the form be redirected there."""
    more = "login: {return_to_hosts: [shop.example.com]}"
    services = page_services([], more)
    server = services.settings.server.model_copy(update={"public_url": "https://app.example.com"})
    services = services._replace(settings=services.settings.model_copy(update={"server": server}))
    async with serving(services) as pages:
        answer = await pages.ask("GET", f"/logout{query}", identity=SESSION_IDENTITY)
    assert action in answer.body
    assert f"form-action {policy}; " in answer.value("Content-Security-Policy")


@pytest.mark.parametrize("path", ["/logout", "/signed-out"])
async def test_who_is_signed_out_is_told(path: str) -> None:
    """With the way back, which is a page of this site."""
    async with serving(page_services([])) as pages:
        answer = await pages.ask("GET", f"{path}?return_to=/shop")
        other = await pages.ask("GET", f"{path}?return_to=javascript:alert(1)")
    assert b"<h1>You are signed out</h1>" in answer.body
    assert b'href="/_gateway/login?return_to=/shop"' in answer.body
    assert b'href="/shop"' in answer.body
    assert b"javascript" not in other.body


@pytest.mark.parametrize(
    ("query", "referer", "place"),
    [
        pytest.param("?return_to=/shop", "", "/shop", id="where-the-app-says"),
        pytest.param("?return_to=https://evil.example", "", "/", id="not-to-another-site"),
        pytest.param(
            "?switch=true",
            "http://localhost:8080/admin",
            "login?return_to=/admin",
            id="another-account",
        ),
        pytest.param("?switch=true", "https://evil.example/", "login?return_to=/", id="lured"),
    ],
)
async def test_the_place_after(query: str, referer: str, place: str) -> None:
    """Open redirects are refused as after signing in."""
    fields = ["Sec-Fetch-Mode: navigate", "Origin: http://localhost:8080"]
    fields += [f"Referer: {referer}"] if referer else []
    async with serving(page_services([])) as pages:
        answer = await pages.ask("POST", f"/logout{query}", *fields, identity=SESSION_IDENTITY)
    assert (303, place) == (answer.status, answer.value("Location"))


async def test_the_button_is_shown_at_the_public_origin() -> None:
    """By another name of the machine, the form would be one of another site."""
    async with serving(page_services([])) as pages:
        answer = await pages.ask("GET", "/logout", identity=SESSION_IDENTITY, host="127.0.0.1:8080")
    place = "http://localhost:8080/_gateway/logout?moved=1"
    assert (303, place) == (answer.status, answer.value("Location"))
