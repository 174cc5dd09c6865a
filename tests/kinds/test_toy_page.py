"""
A page is a file and a line.

Files to touch for a new page: its own file in `gateway/pages/` and `gateway/pages/registry.py` (an
import and a line of `OWN_PAGES`). The table in docs/login-api.md is generated from the list.
"""

from typing import Self

import pytest
from aiohttp import web

from gateway.core.route import Auth
from gateway.pages import registry
from gateway.pages.registry import Page
from gateway.pages.routes import page_routes
from gateway.pages.services import PageGroup, PageServices
from gateway.routing.table import RouteTable
from tests.fakes.pages import PREFIX, page_services, serving
from tests.kinds.recipe import ROOT, files_with
from tests.unit.test_docs import pages_table


class ToyPages(PageGroup):
    """``GET /toys/{colour}``."""

    def __init__(self, origin: str) -> None:
        self._origin = origin

    @classmethod
    def of(cls, services: PageServices) -> Self | None:
        return cls(services.public_origin)

    async def show(self, request: web.Request) -> web.Response:
        """Show a toy."""
        return web.Response(text=f"a {request.match_info['colour']} toy of {self._origin}")


TOY = Page("toys", "GET", "/toys/{colour}", ToyPages, ToyPages.show, "text", Auth.REQUIRED)


@pytest.fixture(autouse=True)
def listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add the toy to the list: the one line that it takes."""
    monkeypatch.setattr(registry, "OWN_PAGES", (*registry.OWN_PAGES, TOY))


async def test_a_toy_page_is_served() -> None:
    """The pages server answers for it, over a socket."""
    async with serving(page_services([])) as pages:
        answer = await pages.ask("GET", "/toys/red")
        assert (200, b"a red toy of http://localhost:8080") == (answer.status, answer.body)
        assert "no-store" == answer.value("Cache-Control")
        assert 405 == (await pages.ask("DELETE", "/toys/red")).status


def test_a_route_leads_to_it() -> None:
    """One of its own, which asks for what the page needs."""
    table = RouteTable(page_routes(PREFIX, ()))
    found = table.match("localhost", f"{PREFIX}/toys/red", "HEAD")
    assert ("gateway-toys", Auth.REQUIRED, True) == (found.name, found.auth, found.is_internal)


def test_the_table_of_the_documentation_is_generated() -> None:
    """From the same list, so that a page without a row fails `tests/unit/test_docs.py`."""
    assert "| `GET /_gateway/toys/{colour}` | required | text |" in pages_table()


def test_a_page_is_named_in_two_modules() -> None:
    """Its own, and the list."""
    assert ["gateway/pages/keys.py", "gateway/pages/registry.py"] == files_with("KeyPages")
    assert "`GET /_gateway/jwks.json`" in (ROOT / "docs/login-api.md").read_text()
