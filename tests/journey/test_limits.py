"""Who is counted by limits, what requests cost, what answers tell: real sockets, real store."""

from functools import partial

import pytest

from gateway.authn.did_token.mint import TokenSigner
from gateway.store.connect import redis_client
from tests.fakes.http import Answer, fetch
from tests.fakes.servers import eventually
from tests.fakes.tokens import ALICE, BOB
from tests.fakes.world import World
from tests.hostile.test_checks import VERIFY, nginx
from tests.journey.test_access import HANDSHAKE, new_user

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG_CHANGES = {
    "trusted_proxies": "[127.0.0.0/8]",
    "client_ip": "x-forwarded-for",
    "more_server": "  rate_limit_headers: always",
    # So long that no test runs over the end of a window.
    "more_limits": """
  person:  {rate: 3/9999days, per: issuer}
  session: {rate: 2/9999days, per: session}
  tenant:  {rate: 3/9999days, per: "header:X-Tenant"}
  corner:  {rate: 2/9999days, per: [ip, route]}
  budget:  {rate: 10/9999days, per: issuer}
  wide:    {rate: 1000/9999days, per: ip}
""",
    "more_routes": """
  - {name: person, match: {path: "/person/*"}, limits: [wide, person], upstream: app}
  - {name: session, match: {path: "/session/*"}, limits: [session], upstream: app}
  - {name: maybe, match: {path: "/maybe/*"}, auth: optional, limits: [person], upstream: app}
  - {name: tenant, match: {path: "/tenant/*"}, auth: none, limits: [tenant, wide], upstream: app}
  - {name: corner, match: {path: "/corner/*"}, auth: none, limits: [corner], upstream: app}
  - {name: other-corner, match: {path: "/other/*"}, auth: none, limits: [corner], upstream: app}
  - {name: export, match: {path: "/export/*"}, limits: [budget], cost: 4, upstream: app}
  - {name: query, match: {path: "/query/*"}, limits: [budget], cost: from-answer, upstream: app}
  - {name: unlimited, match: {path: "/unlimited/*"}, auth: none, limits: [], upstream: app}
""",
}


def at(address: str) -> str:
    """Return the field in which the proxy in front names a client."""
    return f"X-Forwarded-For: {address}"


def statuses(answers: list[Answer]) -> list[int]:
    return [answer.status for answer in answers]


def user(around: World, name: str) -> tuple[str, TokenSigner]:
    """Return the field line of a token of a user for each name."""
    signer = new_user(name)
    return around.bearer(signer), signer


async def test_people_are_counted_apart_at_one_address(around: World) -> None:
    """And one person over all addresses and credentials together."""
    bearer, signer = user(around, "limits: apart")
    cookie = await around.sign_in(signer)
    fields = [(bearer, at("192.0.2.1")), (cookie, at("192.0.2.2")), (bearer, at("192.0.2.3"))]
    answers = [await around.get("/person/x", *each) for each in (*fields, fields[0])]
    assert [200, 200, 200, 429] == statuses(answers)
    assert "rate_limited" == answers[-1].code
    assert '"person";q=3;w=863913600' == answers[-1].value("RateLimit-Policy")
    assert int(answers[-1].value("Retry-After")) > 0
    assert 3 == len(around.app.seen)
    other, _ = user(around, "limits: apart, another")
    assert 200 == (await around.get("/person/x", other, at("192.0.2.1"))).status


async def test_each_session_is_a_caller(around: World) -> None:
    """Of the same person, too."""
    signer = new_user("limits: sessions")
    first, second = [await around.sign_in(signer) for _ in range(2)]
    assert [200, 200, 429, 200] == statuses(
        [await around.get("/session/x", each) for each in (first, first, first, second)]
    )


async def test_anonymous_callers_are_counted_by_address(around: World) -> None:
    """Where a credential is optional; with one, by it."""
    answers = [await around.get("/maybe/x", at("192.0.2.10")) for _ in range(4)]
    assert [200, 200, 200, 429] == statuses(answers)
    assert 200 == (await around.get("/maybe/x", at("192.0.2.11"))).status
    bearer, _ = user(around, "limits: maybe")
    assert 200 == (await around.get("/maybe/x", bearer, at("192.0.2.10"))).status


async def test_another_site_spends_nothing_of_a_visitor(around: World) -> None:
    """Cross-site requests are refused before the caller's limit is charged."""
    cookie = await around.sign_in(new_user("limits: csrf"))
    for _ in range(5):
        answer = await fetch(around.port, "POST", "/person/x", cookie, "Sec-Fetch-Site: cross-site")
        assert (403, "cross_site") == (answer.status, answer.code)
    assert 200 == (await around.get("/person/x", cookie)).status


async def test_a_header_names_the_caller(around: World) -> None:
    """Requests without it share one count."""
    for fields in (("X-Tenant: acme",), ("X-Tenant: {acme}",), ()):
        answers = [await around.get("/tenant/x", *fields) for _ in range(4)]
        assert [200, 200, 200, 429] == statuses(answers)
    assert 200 == (await around.get("/tenant/x", "X-Tenant: globex")).status


async def test_a_list_is_one_key(around: World) -> None:
    """Another address, or another route, is another caller."""
    here = at("192.0.2.20")
    asked = [await around.get("/corner/x", here) for _ in range(3)]
    assert [200, 200, 429] == statuses(asked)
    assert 200 == (await around.get("/other/x", here)).status
    assert 200 == (await around.get("/corner/x", at("192.0.2.21"))).status


async def test_upgrades_and_checks_pass_the_same_limits(around: World) -> None:
    """A WebSocket, a forward-auth check and a request are one caller's three."""
    bearer, _ = user(around, "limits: three ways")
    upgrade = await around.get("/person/x", bearer, *HANDSHAKE.split("\r\n"))
    check = await around.get(VERIFY, *nginx("/person/x"), bearer)
    request = await around.get("/person/x", bearer)
    assert [200, 200, 200] == statuses([upgrade, check, request])
    left = ["2", "1", "0"]
    assert left == [each.value("X-RateLimit-Remaining") for each in (upgrade, check, request)]
    for path, fields in (
        ("/person/x", HANDSHAKE.split("\r\n")),
        (VERIFY, nginx("/person/x")),
        ("/person/x", ()),
    ):
        assert 429 == (await around.get(path, bearer, *fields)).status


# --- what answers tell ---------------------------------------------------------------------------

TOLD = ("RateLimit", "RateLimit-Policy", "X-RateLimit-Limit", "X-RateLimit-Remaining")


def told(answer: Answer) -> list[list[str]]:
    return [answer.values(name) for name in TOLD]


async def test_every_answer_of_a_limited_route_tells_of_the_tightest(around: World) -> None:
    """The app's, in place of its own fields, and the gateway's own."""
    around.app.answer(
        "/person/x",
        b"HTTP/1.1 404 Not Found\r\nX-RateLimit-Limit: 7\r\nRateLimit: app\r\n"
        b"Content-Length: 0\r\n\r\n",
    )
    bearer, _ = user(around, "limits: told")
    answer = await around.get("/person/x", bearer)
    assert 404 == answer.status
    [[limit], [policy], [rate], [remaining]] = told(answer)
    assert limit.startswith('"person";r=2;t=')
    assert ('"person";q=3;w=863913600', "3", "2") == (policy, rate, remaining)
    refused = await around.get("/person/x")
    assert (401, '"wide";q=1000;w=863913600') == (refused.status, told(refused)[1][0])
    own = await around.get("/_gateway/session", bearer)
    assert (200, "1000000") == (own.status, own.value("X-RateLimit-Limit"))
    assert [[], [], [], []] == told(await around.get("/unlimited/x"))
    assert ["7"] == await app_says(around, "/unlimited/y", b"X-RateLimit-Limit: 7")


async def app_says(around: World, path: str, line: bytes) -> list[str]:
    """Return the values of the field that the app writes."""
    around.app.answer(path, b"HTTP/1.1 200 OK\r\n%b\r\nContent-Length: 0\r\n\r\n" % line)
    answer = await around.get(path)
    return answer.values(line.partition(b":")[0].decode())


async def test_the_wait_is_told_when_it_is_the_last(around: World) -> None:
    """A client that heeds what is left is never refused."""
    bearer, _ = user(around, "limits: last")
    answers = [await around.get("/person/x", bearer) for _ in range(3)]
    assert ["2", "1", "0"] == [each.value("X-RateLimit-Remaining") for each in answers]
    assert all([] == each.values("Retry-After") for each in answers)


# --- costs ----------------------------------------------------------------------------------------


async def test_a_route_may_cost_more_than_one(around: World) -> None:
    """Ten are enough for two requests of four, and for two of one."""
    bearer, _ = user(around, "limits: export")
    answers = [await around.get("/export/x", bearer) for _ in range(3)]
    assert [200, 200, 429] == statuses(answers)
    assert ["6", "2"] == [each.value("X-RateLimit-Remaining") for each in answers[:2]]


async def _has_counted(around: World, issuer: str, counted: int) -> bool:
    """Whether the store has counted so much of a caller: an answer is charged after it."""
    async with redis_client(around.store.url, 2) as store:
        keys = await store.keys(f"limit:budget:*{issuer}*")
        return sum([int(await store.get(key) or 0) for key in keys]) == counted


async def test_the_answer_tells_what_a_request_cost(around: World) -> None:
    """The rest is charged after it; the field reaches no client."""
    bearer, signer = user(around, "limits: query")
    answers = []
    for cost, counted in ((b"4", 4), (b"many", 5), (b"1", 6), (b"9", 15)):
        around.app.answer(
            "/query/a", b"HTTP/1.1 200 OK\r\nX-Gateway-Cost: %b\r\nContent-Length: 0\r\n\r\n" % cost
        )
        answers.append(await around.get("/query/a", bearer))
        await eventually(partial(_has_counted, around, signer.issuer, counted), within_s=20)
    assert [200, 200, 200, 200] == statuses(answers)
    assert ["9", "5", "4", "3"] == [each.value("X-RateLimit-Remaining") for each in answers]
    assert all([] == each.values("X-Gateway-Cost") for each in answers)
    assert 429 == (await around.get("/query/a", bearer)).status


async def test_no_route_tells_clients_of_costs(around: World) -> None:
    """Nor is a limit charged by an app whose route has a fixed cost."""
    assert [] == await app_says(around, "/unlimited/z", b"X-Gateway-Cost: 5")
    bearer, _ = user(around, "limits: fixed")
    around.app.answer(
        "/person/z",
        b"HTTP/1.1 200 OK\r\nx-gateway-cost: 5\r\nConnection: close\r\n\r\n",
        then_close=True,
    )
    answers = [await around.get("/person/z", bearer) for _ in range(3)]
    assert [200, 200, 200] == statuses(answers)
    assert [[], [], []] == [each.values("X-Gateway-Cost") for each in answers]


async def test_forwarded_requests_show_no_trace_of_limits(around: World) -> None:
    """A client that writes the field itself charges none: it reaches no app."""
    for by in (ALICE, BOB):
        await around.get("/query/x", around.bearer(by), "X-Gateway-Cost: 1000000")
        assert [] == around.app.seen[-1].values("X-Gateway-Cost")
        assert 200 == (await around.get("/query/x", around.bearer(by))).status
