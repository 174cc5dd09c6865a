"""The list of pages."""

from typing import Any

import pytest

from gateway.assertion.token import signing_key
from gateway.core.errors import StartError
from gateway.pages.registry import OWN_PAGES, Page
from gateway.pages.routes import page_routes
from gateway.routing.table import RouteTable
from tests.fakes.keys import PEM
from tests.fakes.pages import PREFIX, page_services, serving

ids = [f"{page.method}{page.path}" for page in OWN_PAGES]


def test_no_page_stands_twice() -> None:
    """A method and a path have one page."""
    assert sorted(set(ids)) == sorted(ids)


@pytest.mark.parametrize("page", OWN_PAGES, ids=ids)
def test_a_request_for_a_page_takes_its_route(page: Page) -> None:
    """The most specific route is the one that its line names, with its credentials."""
    table = RouteTable(page_routes(PREFIX, ()))
    path = PREFIX + page.path.replace("{name:.+}", "a/b.js").replace("{version}", "1")
    route = table.match("localhost", path.replace("{id}", "1"), page.method)
    assert (f"gateway-{page.route}", page.auth) == (route.name, route.auth)
    assert page.accept == route.accept


@pytest.mark.parametrize("page", OWN_PAGES, ids=ids)
async def test_every_page_is_served(page: Page) -> None:
    """Where its condition holds: the answer is the page's own, not that there is no page."""
    signing_keys = (signing_key(PEM),)
    services = page_services([], "credentials: {api_keys: {}}", signing_keys=signing_keys)
    async with serving(services) as pages:
        path = page.path.replace("{name:.+}", "pages.css").replace("{version}", "1")
        path = path.replace("{name}", "welcome").replace("{status}", "403")
        answer = await pages.ask(page.method, path)
        assert answer.status not in {404, 405, 500} or page.path == "/sessions/{id}"


@pytest.mark.parametrize(
    ("method", "path", "changes"),
    [
        pytest.param("POST", "/development/token", {"development": None}, id="live-mode"),
        pytest.param("GET", "/jwks.json", {"signing_keys": ()}, id="no-assertions"),
        pytest.param("POST", "/locks/{name}", {}, id="no-api-keys"),
    ],
)
async def test_a_page_is_absent_without_its_condition(
    method: str, path: str, changes: dict[str, Any]
) -> None:
    """There is none, and its line says on what it depends."""
    async with serving(page_services([], **changes)) as pages:
        assert 404 == (await pages.ask(method, path)).status
    [page] = [page for page in OWN_PAGES if page.path == path]
    assert page.condition


async def test_a_config_with_an_unusable_file() -> None:
    """The gateway does not start."""
    with pytest.raises(StartError, match=r"login\.logo"):
        async with serving(page_services([], "login: {logo: /nowhere.png}")):
            pass
