"""Routes of several hosts: the host decides first, and methods choose within one path."""

import pytest

from tests.fakes.http import Answer, connected
from tests.fakes.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG_CHANGES = {
    "trusted_proxies": '["127.0.0.1"]',
    "client_ip": "x-forwarded-for",
    "more_routes": """
  - {name: admin, match: {host: admin.example.com, path: "/*"}, upstream: app}
  - {name: status, match: {host: part.example.com, path: "/status"}, auth: none, upstream: app}
  - {name: shops, match: {host: "*.shop.example.com", path: "/*"}, auth: none, upstream: app}
  - {name: reading, match: {path: "/limited/*", methods: [GET]}, auth: none, upstream: app}
  - {name: writing, match: {path: "/limited/*", methods: [PUT]}, upstream: app,
     cors: {origins: ["https://shop.example.com"]}}
""",
}


async def asked(around: World, method: str, host: str, path: str, *fields: str) -> Answer:
    """The answer to a request for ``path`` on ``host``."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *fields, "", ""]
    async with connected(around.port) as client:
        await client.send("\r\n".join(lines).encode())
        return await client.answer(method)


async def checked(around: World, method: str, host: str, path: str, *fields: str) -> Answer:
    """The answer to a proxy that asks about such a request."""
    about = (f"X-Original-Method: {method}", f"X-Original-Host: {host}", f"X-Original-URI: {path}")
    return await asked(
        around,
        "GET",
        "localhost",
        "/_gateway/verify",
        *about,
        "X-Forwarded-For: 192.0.2.1",
        *fields,
    )


@pytest.mark.parametrize("ask", [asked, checked])
@pytest.mark.parametrize(
    ("method", "host", "path", "status"),
    [
        pytest.param("GET", "localhost", "/public/x", 200, id="any-host"),
        pytest.param("GET", "admin.example.com", "/public/x", 401, id="the-route-of-the-host"),
        pytest.param("GET", "Admin.Example.com.:80", "/public/x", 401, id="in-another-spelling"),
        pytest.param("GET", "part.example.com", "/status", 200, id="a-host-with-one-path"),
        pytest.param("GET", "part.example.com", "/public/x", 200, id="its-other-paths-of-any-host"),
        pytest.param("GET", "a.shop.example.com", "/x", 200, id="a-wildcard"),
        pytest.param("GET", "shop.example.com", "/x", 401, id="not-the-domain-of-the-wildcard"),
        pytest.param("GET", "localhost", "/limited/x", 200, id="a-method"),
        pytest.param("HEAD", "localhost", "/limited/x", 200, id="head-as-get"),
        pytest.param("PUT", "localhost", "/limited/x", 401, id="the-route-of-another-method"),
        pytest.param("DELETE", "localhost", "/limited/x", 405, id="a-method-of-no-route"),
        pytest.param("OPTIONS", "localhost", "/limited/x", 405, id="options-of-no-route"),
    ],
)
async def test_the_host_decides_first(
    around: World, ask: object, method: str, host: str, path: str, status: int
) -> None:
    """The gateway judges a request by the same route, whether it forwards it or a proxy asks."""
    assert callable(ask)
    assert status == (await ask(around, method, host, path)).status


@pytest.mark.parametrize("ask", [asked, checked])
async def test_a_method_of_no_route_is_not_allowed(around: World, ask: object) -> None:
    """405 lists the methods of the path; a broader route never takes the request."""
    assert callable(ask)
    answer = await ask(around, "DELETE", "localhost", "/limited/x", around.bearer())
    assert (405, "method_not_allowed") == (answer.status, answer.code)
    assert ["GET, HEAD, PUT"] == answer.values("Allow")
    assert [] == around.app.seen


async def test_a_preflight_is_judged_by_the_route_of_its_method(around: World) -> None:
    """The CORS policy is that of the route which the request itself will take."""
    origin = "Origin: https://shop.example.com"
    asks = "Access-Control-Request-Method"
    statuses = [
        (await asked(around, "OPTIONS", host, "/limited/x", origin, f"{asks}: {method}")).status
        for host, method in (
            ("localhost", "PUT"),
            ("localhost", "GET"),
            ("localhost", "DELETE"),
            ("admin.example.com", "PUT"),
        )
    ]
    assert [204, 405, 405, 401] == statuses


@pytest.mark.parametrize("host", ["admin.example.com", "a.shop.example.com", "localhost"])
async def test_the_gateways_own_pages_are_on_every_host(around: World, host: str) -> None:
    """No route of a named host shadows them."""
    answer = await asked(around, "GET", host, "/_gateway/session")
    assert (401, "unauthenticated") == (answer.status, answer.code)
    known = await asked(around, "GET", host, "/_gateway/session", around.bearer())
    assert (200, []) == (known.status, around.app.seen)
