"""An upstream: which server it gives, when it gives none, and what it counts."""

import asyncio
import logging
from typing import Any, NamedTuple, cast

import pytest

from gateway.core.errors import UpstreamBusy, UpstreamDown, UpstreamUnreachable
from gateway.core.request import Outbound, Target
from gateway.core.route import Balance, Route
from gateway.proxy.upstream.upstream import Upstream, UpstreamRules, UpstreamServer
from gateway.telemetry.metrics import UPSTREAM_EJECTIONS, UPSTREAM_RETRIES
from gateway.util.circuit_breaker import CircuitBreaker
from tests.fakes.heads import request_head
from tests.fakes.ports import SESSION_IDENTITY

OUTBOUND = Outbound(
    Route("r", "/*", "app"),
    "GET",
    Target("/", "/", has_encoded_slash=False),
    b"",
    None,
    request_head().peer,
)


class Pool:
    """Records what it is told."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def retire(self) -> None:
        self.calls.append("retire")

    def close(self) -> None:
        self.calls.append("close")


class Bench(NamedTuple):
    """An upstream and what it counted."""

    upstream: Upstream
    counted: list[tuple[object, ...]]

    def fail(self, times: int = 5) -> UpstreamServer:
        """Let requests to the first server fail."""
        server = self.upstream.servers[0]
        for _ in range(times):
            self.upstream.failed(server)
        return server


def bench(servers: int = 2, rules: UpstreamRules | None = None) -> Bench:
    """An upstream with so many servers."""
    counted: list[tuple[object, ...]] = []
    made = [
        UpstreamServer.of(name, f"{name}:80", cast("Any", None), cast("Any", Pool()))
        for name in "abc"[:servers]
    ]
    loop = asyncio.get_running_loop()
    upstream = Upstream(
        "app", made, rules or UpstreamRules(), loop, lambda *what: counted.append(what)
    )
    return Bench(upstream, counted)


async def test_servers_are_used_in_turn() -> None:
    """The default of `Balance`."""
    upstream = bench().upstream
    assert ["a", "b", "a", "b"] == [upstream.enter(OUTBOUND).member.name for _ in range(4)]


async def test_a_server_has_its_own_host_line() -> None:
    """For routes that rewrite Host."""
    assert b"Host: a:80\r\n" == bench(1).upstream.enter(OUTBOUND).host_line


async def test_a_caller_keeps_its_server() -> None:
    """With ``by_issuer``, by identity; without one, by address."""
    upstream = bench(3, UpstreamRules(balance=Balance.BY_ISSUER)).upstream
    known = OUTBOUND._replace(identity=SESSION_IDENTITY)
    for outbound in (OUTBOUND, known):
        assert 1 == len({upstream.enter(outbound).member.name for _ in range(10)})


async def test_a_server_that_fails_repeatedly_is_ejected(caplog: pytest.LogCaptureFixture) -> None:
    """It is counted, logged, and gets no requests."""
    around = bench()
    with caplog.at_level(logging.WARNING):
        around.fail()
    assert [(UPSTREAM_EJECTIONS, "app")] == around.counted
    assert ["upstream app: a ejected after repeated failures"] == caplog.messages
    assert 1 == around.upstream.servers_out()
    assert {"b"} == {around.upstream.enter(OUTBOUND).member.name for _ in range(4)}


@pytest.mark.parametrize(
    ("status", "out"), [pytest.param(200, 0, id="200"), pytest.param(503, 1, id="503")]
)
async def test_a_gateway_error_counts_as_a_failure(status: int, out: int) -> None:
    """Another answer ends a row of failures."""
    around = bench()
    server = around.fail(4)
    around.upstream.answered(server, status)
    around.fail(1)
    assert out == around.upstream.servers_out()


async def test_requests_under_way_have_a_limit() -> None:
    """Over all servers."""
    upstream = bench(rules=UpstreamRules(max_in_flight=2)).upstream
    for server in upstream.servers:
        upstream.enter(OUTBOUND)
        server.member.in_flight += 1
    with pytest.raises(UpstreamBusy, match="max_in_flight"):
        upstream.enter(OUTBOUND)


async def test_a_retry_goes_to_another_server() -> None:
    """Once, by default; it is counted."""
    around = bench()
    first = around.upstream.enter(OUTBOUND)
    second = around.upstream.enter_again(OUTBOUND, [first])
    assert second is not None
    assert {"a", "b"} == {first.member.name, second.member.name}
    assert around.upstream.enter_again(OUTBOUND, [first, second]) is None
    assert [(UPSTREAM_RETRIES, "app")] == around.counted


async def test_retries_have_a_budget() -> None:
    """A fifth of the requests, and ten."""
    upstream = bench(1, UpstreamRules(retries=5)).upstream
    granted = 0
    for _ in range(100):
        server = upstream.enter(OUTBOUND)
        granted += upstream.enter_again(OUTBOUND, [server]) is not None
    assert 10 <= granted <= 31


@pytest.mark.parametrize(
    ("servers", "reason"),
    [pytest.param(1, "closed", id="one"), pytest.param(2, "closed (a)", id="two")],
)
async def test_the_logged_reason_names_one_of_several_servers(servers: int, reason: str) -> None:
    """With a single one, the upstream's name is enough."""
    upstream = bench(servers).upstream
    refusal = UpstreamUnreachable("closed")
    upstream.add_server_name(upstream.servers[0], refusal)
    assert reason == refusal.reason


async def test_the_ends_of_an_upstream_reach_its_pools() -> None:
    """After a reload, and when the gateway stops."""
    upstream = bench().upstream
    upstream.start()
    upstream.retire()
    await upstream.aclose()
    pools = [cast("Pool", server.pool) for server in upstream.servers]
    assert [["retire", "close"]] * 2 == [pool.calls for pool in pools]


async def test_a_preview_leaves_all_as_it_is() -> None:
    """It names the server that is next, those that are usable, and what refuses the request."""
    upstream = bench(rules=UpstreamRules(balance=Balance.BY_ISSUER)).upstream
    preview = upstream.preview(OUTBOUND)
    assert ({"a": True, "b": True}, None) == (preview.servers, preview.refusal)
    assert preview.server == upstream.enter(OUTBOUND).member.name
    gated = bench(rules=UpstreamRules(max_in_flight=1, circuit=CircuitBreaker(1, 60))).upstream
    assert gated.preview(OUTBOUND).refusal is None
    assert (None, False) == (upstream.is_circuit_open, gated.is_circuit_open)
    gated.failed(gated.servers[0])
    assert gated.is_circuit_open
    assert isinstance(gated.preview(OUTBOUND).refusal, UpstreamDown)
    gated.servers[0].member.in_flight = 1
    assert isinstance(gated.preview(OUTBOUND).refusal, UpstreamBusy)
    assert "a" == bench(1).upstream.preview(OUTBOUND).server
