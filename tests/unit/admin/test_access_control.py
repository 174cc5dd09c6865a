"""Access control of the private listener, over a socket."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.admin.access import COOKIE, AdminAccess
from gateway.admin.access_control import AccessControl, operator_of
from gateway.admin.guesses import MAX_WRONG, WINDOW_S

TOKEN = "a token for tests that is long enough"

Client = TestClient[web.Request, web.Application]


class House:
    """What the access control guards; the rules and the time can be changed."""

    def __init__(self) -> None:
        self.access = AdminAccess(frozenset({"localhost"}), TOKEN)
        self.now_s = 1_800_000_000.0

    def app(self) -> web.Application:
        control = AccessControl(lambda: self.access, lambda: self.now_s)

        async def told(request: web.Request) -> web.Response:
            return web.json_response(operator_of(request))

        app = web.Application(middlewares=[control.guarded])
        app.add_routes([web.get("/api/x", told), web.post("/api/x", told), web.get("/", told)])
        return app


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
async def client(house: House) -> AsyncIterator[Client]:
    async with TestClient(TestServer(house.app())) as client:
        yield client


async def _asked(client: Client, token: str = "", method: str = "GET", **fields: str) -> int:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with client.request(method, "/api/x", headers={**headers, **fields}) as answer:
        return answer.status


async def test_a_token_that_is_replaced_ends_with_its_cookies(house: House, client: Client) -> None:
    """At once, as a reload has put the new one in use."""
    cookie = f"{COOKIE}={house.access.cookie(house.now_s)}"
    assert 200 == await _asked(client, TOKEN)
    assert 200 == await _asked(client, Cookie=cookie)
    house.access = house.access._replace(token=TOKEN + "!")
    assert 401 == await _asked(client, TOKEN)
    assert 401 == await _asked(client, Cookie=cookie)
    assert 200 == await _asked(client, TOKEN + "!")


async def test_read_only_holds_from_the_next_request_on(house: House, client: Client) -> None:
    """And no longer than it is set."""
    assert 200 == await _asked(client, TOKEN, "POST")
    house.access = house.access._replace(is_read_only=True)
    assert 403 == await _asked(client, TOKEN, "POST")
    assert 200 == await _asked(client, TOKEN)
    house.access = house.access._replace(is_read_only=False)
    assert 200 == await _asked(client, TOKEN, "POST")


async def test_guessing_is_bounded(
    house: House, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """A client that goes on with wrong tokens is told to wait; the log says so once."""
    for number in range(MAX_WRONG):
        assert 401 == await _asked(client, f"wrong {number}")
    for _ in range(2):
        async with client.get("/api/x", headers={"Authorization": "Bearer wrong"}) as answer:
            assert (429, "60") == (answer.status, answer.headers["Retry-After"])
    assert 401 == await _asked(client)
    assert ["127.0.0.1 has sent 10 wrong tokens within a minute"] == [
        record.getMessage() for record in caplog.records
    ]
    house.now_s += WINDOW_S
    assert 401 == await _asked(client, "wrong")


async def test_guesses_of_others_do_not_lock_the_token(house: House, client: Client) -> None:
    """Clients behind one proxy have one address: the right token and its cookie are accepted."""
    cookie = f"{COOKIE}={house.access.cookie(house.now_s)}"
    for number in range(2 * MAX_WRONG):
        await _asked(client, f"wrong {number}")
    assert 429 == await _asked(client, "wrong")
    assert 200 == await _asked(client, TOKEN)
    assert 200 == await _asked(client, Cookie=cookie)
    assert 200 == await _asked(client, "wrong", Cookie=cookie)
    assert 429 == await _asked(client, "wrong")


async def test_a_foreign_page_does_not_count_as_a_guess(house: House, client: Client) -> None:
    """It is refused whatever token it sends, so that it learns nothing."""
    for token in [TOKEN, *["wrong"] * (MAX_WRONG + 1)]:
        assert 403 == await _asked(client, token, Origin="https://evil.example")
    assert 401 == await _asked(client, "wrong")


async def test_without_a_token_a_bearer_is_no_guess(house: House, client: Client) -> None:
    """As where a proxy adds one for itself."""
    house.access = AdminAccess(frozenset({"localhost"}))
    for number in range(MAX_WRONG + 1):
        assert 200 == await _asked(client, f"wrong {number}")


async def test_the_route_believes_no_token(house: House, client: Client) -> None:
    """Only what the pipeline says of the person; the page itself is guarded there, too."""
    house.access = AdminAccess(token=TOKEN, is_route=True)
    assert 403 == await _asked(client, TOKEN)
    async with client.get("/") as answer:
        assert 403 == answer.status
    told = '{"user": {"issuer": "did:ethr:0xA", "email": "ada@example.com"}}'
    fields = {"X-Gateway-Identity": told, "X-Gateway-Client": "192.0.2.9"}
    async with client.get("/api/x", headers=fields) as answer:
        assert ["did:ethr:0xA", "192.0.2.9", "ada@example.com"] == await answer.json()
