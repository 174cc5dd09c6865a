"""
A real Prometheus scrapes two gateways of two workers each under load, for as long as PROMETHEUS_S.

What it has summed up at the end is what was sent, to the request: by route, method and status.
"""

import asyncio
import os
import random
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from tests.fakes.free_port import free_port
from tests.fakes.http import RawClient, connected
from tests.fakes.process import gateway
from tests.fakes.prometheus import Prometheus, Series, prometheus
from tests.fakes.servers import eventually
from tests.fakes.world import ADMIN, World, world

LOAD_S = float(os.environ.get("PROMETHEUS_S", "300"))
CLIENTS = 16
BODY = b"x" * 1000

pytestmark = [pytest.mark.slow, pytest.mark.timeout(LOAD_S + 180)]

Sent = Counter[tuple[str, str, str]]
"""Requests that were answered, by method, route and status: in the order of the labels' names."""

BY_REQUEST = "sum by (method, route, status) (gateway_requests_total)"

REQUESTS = (
    ("GET", "public", "/public/x"),
    ("HEAD", "public", "/public/x"),
    ("POST", "public", "/public/x"),
    ("PURGE", "public", "/public/x"),
    ("other", "-", "/public/x"),
    ("GET", "rest", "/x"),
    ("GET", "rest", "/with-session"),
    ("GET", "tight", "/tight/x"),
    ("GET", "gateway-login", "/_gateway/login"),
    ("GET", "-", "/_gateway%2f..%2fx"),
)
"""Method and route as the metrics name them, and the path."""


async def test_sums_equal_what_was_sent(tmp_path: Path) -> None:
    """No request is missing or counted twice; nor are bytes and times."""
    second = tmp_path / "second"
    second.mkdir()
    async with world(tmp_path, admin=ADMIN, workers="2") as around:
        config = around.gateway.config.read_text()
        async with gateway(config, second) as other:
            admin_ports = [around.gateway.admin_port, other.admin_port]
            async with prometheus(tmp_path, free_port(), admin_ports, "2s") as server:
                await eventually(lambda: server.is_scraping(2), within_s=30)
                sent = await _load(around, [around.gateway.port, other.port])
                with suppress(TimeoutError):  # the comparison says what is missing
                    await eventually(lambda: _has_all(server, sent), within_s=10)
                assert _requests(sent) == await server.query(BY_REQUEST)
                await _check_the_rest(server, sent)


async def _load(around: World, ports: list[int]) -> Sent:
    """Ask both gateways at random until the time is over; return what was answered."""
    cookie, began_s = await around.sign_in(lifetime_s=86_400 / 2), time.monotonic()
    sent: Sent = Counter({("POST", "gateway-sign-in", "201"): 1})
    until_s = began_s + LOAD_S
    async with asyncio.TaskGroup() as group:
        for number in range(CLIENTS):
            group.create_task(_client(ports[number % 2], cookie, sent, until_s))
    rate = sent.total() / (time.monotonic() - began_s)
    print(f"{sent.total()} requests in {LOAD_S:.0f} s, {rate:.0f} a second: {dict(sent)}")  # noqa: T201
    return sent


async def _client(port: int, cookie: str, sent: Sent, until_s: float) -> None:
    """Send requests, a new connection for each hundred, so that all workers serve."""
    while time.monotonic() < until_s:
        async with connected(port) as client:
            for _ in range(100):
                if not await _request(client, cookie, sent) or time.monotonic() >= until_s:
                    break


async def _request(client: RawClient, cookie: str, sent: Sent) -> bool:
    """Send one request and count it; return whether the connection stays open."""
    method, route, path = random.choice(REQUESTS)
    name = f"MADE-UP-{random.randrange(10**6)}" if method == "other" else method
    fields = (
        f"Host: localhost\r\n{cookie}\r\n" if path == "/with-session" else "Host: localhost\r\n"
    )
    body = BODY if method == "POST" else b""
    if body:
        fields += f"Content-Length: {len(body)}\r\n"
    await client.send(f"{name} {path} HTTP/1.1\r\n{fields}\r\n".encode() + body)
    answer = await client.answer(name)
    assert answer.is_complete
    sent[method, route, str(answer.status)] += 1
    return "close" not in answer.values("Connection")


async def _has_all(server: Prometheus, sent: Sent) -> bool:
    """Whether the last request has been scraped."""
    return _requests(sent) == await server.query(BY_REQUEST)


def _requests(sent: Sent) -> Series:
    names = ("method", "route", "status")
    return {tuple(zip(names, labels, strict=True)): count for labels, count in sent.items()}


async def _check_the_rest(server: Prometheus, sent: Sent) -> None:
    """What is counted beside requests agrees with them."""
    total = {(): float(sent.total())}
    posted = sum(count for (method, _, _), count in sent.items() if method == "POST") - 1
    window = f"{int(LOAD_S) + 60}s"
    for expression, expected in {
        "sum(gateway_request_duration_seconds_count)": total,
        "sum(gateway_gateway_duration_seconds_count)": total,
        'sum(gateway_request_bytes_total{route="public"})': {(): float(posted * len(BODY))},
        "sum(gateway_sessions_created_total)": {(): 1.0},
        'sum(gateway_logins_total{outcome="ok"})': {(): 1.0},
        "sum(gateway_worker_restarts_total)": {(): 0.0},
        f"sum(resets(gateway_requests_total[{window}]))": {(): 0.0},
        "sum(gateway_requests_in_flight)": {(): 0.0},
    }.items():
        assert expected == await server.query(expression), expression
    missed = await server.query(f"sum(count_over_time(up[{window}]) - sum_over_time(up[{window}]))")
    print(f"scrapes that were missed, as the machine was busy: {missed[()]:.0f}")  # noqa: T201
    workers = await server.query('sum(gateway_workers{state="up"})')
    assert {(): 4.0} == workers
