"""The metrics page of a gateway that runs: what was done is on it, what was removed is not."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from tests.fakes.certificates import Authority
from tests.fakes.http import connected, fetch
from tests.fakes.metrics import figures
from tests.fakes.tokens import ALICE, BOB
from tests.fakes.upstream import Seen
from tests.fakes.world import ADMIN, World, world

pytestmark = pytest.mark.asyncio(loop_scope="module")

ORIGIN = "Origin: http://localhost"
BACKUP = '  backup: {servers: ["http://127.0.0.1:9", "http://127.0.0.1:10"]}\n'
EXTRA = '  - {name: extra, match: {path: "/extra/*"}, auth: none, limits: [slow], upstream: app}\n'
SLOW = "  slow: {rate: 1/day}\n"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def around(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    folder = tmp_path_factory.mktemp("metrics")
    async with world(
        folder,
        admin=ADMIN,
        more_upstreams=BACKUP,
        more_routes=EXTRA,
        more_limits=SLOW,
    ) as made:
        yield made


async def _figures(around: World) -> dict[str, float]:
    return await figures(around.gateway.admin_port)


async def _until(around: World, is_so: Callable[[dict[str, float]], bool]) -> dict[str, float]:
    """The figures, when they are as they should become."""
    async with asyncio.timeout(20):
        while not is_so(found := await _figures(around)):
            await asyncio.sleep(0.05)
    return found


async def test_sign_ins_sessions_and_caches(around: World) -> None:
    """One user signs in twice in one browser, and out; one who is refused has signed in nowhere."""
    first = await around.sign_in()
    for _ in range(3):
        assert 200 == (await around.get("/x", first)).status
    second = await around.sign_in(BOB, 900, first)
    bad = "Authorization: Bearer WyJ4Il0="
    assert 401 == (await fetch(around.port, "POST", "/_gateway/session", bad)).status
    signed_out = await fetch(around.port, "DELETE", "/_gateway/session", second, ORIGIN)
    assert 204 == signed_out.status
    found = await _figures(around)
    assert 2 == found["gateway_sessions_created_total"]
    assert 2 == found['gateway_logins_total{method="email",outcome="ok"}']
    assert 1 == found['gateway_logins_total{method="unknown",outcome="refused"}']
    assert 1 == found['gateway_sessions_ended_total{reason="replaced"}']
    assert 1 == found['gateway_sessions_ended_total{reason="signed_out"}']
    hits, misses = (
        found[f'gateway_cache_lookups_total{{cache="sessions",outcome="{outcome}"}}']
        for outcome in ("hit", "miss")
    )
    assert hits >= 1
    assert misses >= 2
    assert found["gateway_store_duration_seconds_count"] > 4
    assert found["gateway_magic_duration_seconds_count"] >= 2
    assert 1 == found["gateway_store_up"]
    assert 1 == found["gateway_magic_up"]
    assert ALICE.issuer not in str(found)


async def test_bytes_times_and_what_is_under_way(around: World) -> None:
    """A request that its app has not answered is under way; then its time is the app's."""
    go_on = asyncio.Event()

    async def slow(_: Seen, writer: asyncio.StreamWriter) -> None:
        await go_on.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1000)

    around.app.answers["/optional/slow"] = slow
    async with connected(around.port) as client:
        await client.send(
            b"POST /optional/slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\n"
            + b"y" * 500
        )
        await _until(around, lambda found: found["gateway_requests_in_flight"] == 1)
        await asyncio.sleep(0.3)
        go_on.set()
        assert 1000 == len((await client.answer("POST")).body)
    found = await _until(around, lambda found: found["gateway_requests_in_flight"] == 0)
    assert 500 == found['gateway_request_bytes_total{route="optional"}']
    assert 1000 < found['gateway_response_bytes_total{route="optional"}'] < 2000
    app_s = found['gateway_upstream_duration_seconds_sum{route="optional"}']
    own_s = found['gateway_gateway_duration_seconds_sum{route="optional"}']
    assert app_s > 0.3
    assert own_s < app_s
    assert 1 == found['gateway_gateway_duration_seconds_count{route="optional"}']


async def test_limits_servers_and_the_process(around: World) -> None:
    """Decisions by limit; each server; the certificate; what the process uses."""
    for _ in range(7):
        await around.get("/tight/x")
    found = await _figures(around)
    decided = 'gateway_limit_decisions_total{{limit="tight",outcome="{}"}}'
    assert 5 == found[decided.format("allowed")]
    assert 2 == found[decided.format("refused")]
    assert 2 == sum(
        name.startswith('gateway_upstream_server_up{server="http://127') and value == 1
        for name, value in found.items()
        if 'upstream="backup"' in name
    )
    [build] = [name for name in found if name.startswith("gateway_build_info")]
    assert 'version="' in build
    assert found["process_cpu_seconds_total"] > 0
    assert found["process_open_fds"] < found["process_max_fds"]
    assert (
        found["process_start_time_seconds"] <= found["gateway_config_last_reload_timestamp_seconds"]
    )
    assert found["gateway_event_loop_lag_seconds_count"] > 0


async def test_what_a_reload_removes_leaves_the_page(around: World) -> None:
    """A route, a limit and an upstream; the others keep their counts. A faulty file is told."""
    assert 200 == (await around.get("/extra/x")).status
    assert 429 == (await around.get("/extra/x")).status
    found = await _figures(around)
    assert 1 == found['gateway_requests_total{method="GET",route="extra",status="200"}']
    assert 1 == found["gateway_config_last_reload_success"]
    began_s = found["gateway_config_last_reload_timestamp_seconds"]
    text = around.gateway.config.read_text()
    around.gateway.config.write_text(text.replace(EXTRA, "").replace(SLOW, "").replace(BACKUP, ""))
    around.gateway.process.send_signal(signal.SIGHUP)
    found = await _until(around, lambda found: not any('route="extra"' in name for name in found))
    assert [] == [name for name in found if '="slow"' in name or '="backup"' in name]
    assert 5 == found['gateway_limit_decisions_total{limit="tight",outcome="allowed"}']
    assert 1 == found["gateway_config_last_reload_success"]
    assert began_s < found["gateway_config_last_reload_timestamp_seconds"]
    around.gateway.config.write_text("server: nonsense\n")
    around.gateway.process.send_signal(signal.SIGHUP)
    await _until(around, lambda found: found["gateway_config_last_reload_success"] == 0)


async def test_a_store_that_is_away_is_told(around: World) -> None:
    """As the last test, since it does not come back: it is down, and its errors count."""
    around.store.kill()
    found = await _until(around, lambda found: found["gateway_store_up"] == 0)
    assert found["gateway_store_errors_total"] > 0


async def test_when_a_certificate_ends_is_told(tmp_path: Path) -> None:
    """By its file, in Unix time."""
    pair = Authority(tmp_path, "ca").issue("localhost", file="server", days=20)
    tls = f"  tls: {{certificate: {pair.certificate}, key: {pair.key}}}\n"
    async with world(tmp_path, admin=ADMIN, more_server=tls) as around:
        found = await _figures(around)
    series = f'gateway_certificate_expiry_timestamp_seconds{{file="{pair.certificate}"}}'
    assert 19 < (found[series] - time.time()) / 86_400 <= 20
