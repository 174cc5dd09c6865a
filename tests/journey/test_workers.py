"""Several processes that share a port."""

import asyncio
import os
import signal
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import h11
import pytest

from gateway.authn.did_token.mint import signer
from tests.fakes.http import connected, fetch
from tests.fakes.load import CLIENTS, load
from tests.fakes.metrics import figures
from tests.fakes.process import GatewayProcess, gateway
from tests.fakes.timing import Stopwatch, at_best_of, until
from tests.fakes.upstream import Seen
from tests.fakes.world import ADMIN, World, world

EXTRA = '  - {{name: extra, match: {{path: "{path}"}}, auth: none, upstream: app}}\n'

DEVELOPMENT = """
server: {listen: ["127.0.0.1:0"], public_url: "http://localhost", workers: 2}
admin: null
redis: {url: "embedded://"}
magic: {mode: development}
upstreams: {app: {servers: ["http://127.0.0.1:9"]}}
routes: [{name: app, match: {path: "/*"}, upstream: app}]
"""

TIMEOUT_S = 20
MAX_WAIT_S = 10
CAP = 100

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG_CHANGES = {"workers": "2", "admin": ADMIN}


async def _answers(around: World, path: str, status: int, *fields: str) -> None:
    """Wait until ten answers in a row have ``status``: from all workers, that is."""
    count = 0
    async with asyncio.timeout(TIMEOUT_S):
        while count < 10:
            is_so = (await around.get(path, *fields)).status == status
            count = count + 1 if is_so else 0


async def _all_up(around: World) -> dict[int, int]:
    """The processes of the workers, when all of them serve, and the log has said which."""
    async with asyncio.timeout(TIMEOUT_S):
        while (await figures(around.gateway.admin_port))['gateway_workers{state="up"}'] != 2 or any(
            map(_is_gone, around.gateway.workers().values())
        ):
            await asyncio.sleep(0.02)
    return around.gateway.workers()


def _is_gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"


def _used_s(pid: int) -> int:
    """CPU time in clock ticks."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


async def test_figures_add_up(around: World) -> None:
    """Both workers serve, and the private listener shows what they did together."""
    assert 2 == len(around.gateway.workers())
    before = [_used_s(pid) for pid in around.gateway.workers().values()]
    series = 'gateway_requests_total{method="GET",route="public",status="200"}'
    was = (await figures(around.gateway.admin_port)).get(series, 0)
    async with load(around.port, "/public/x", clients=32) as made:
        await made.more(1000)
    after = [_used_s(pid) for pid in around.gateway.workers().values()]
    assert all(used > had for used, had in zip(after, before, strict=True))

    found = await figures(around.gateway.admin_port)
    assert was + made.answers[200] == found[series]
    assert 2 == found['gateway_workers{state="up"}']
    assert 200 == (await fetch(around.gateway.admin_port, "GET", "/healthz")).status
    ready = await fetch(around.gateway.admin_port, "GET", "/readyz")
    assert (200, {"status": "ok", "store": "ok"}) == (ready.status, ready.json())


async def test_magics_clock_is_measured(around: World) -> None:
    """By either worker: the figure is the largest of both."""
    around.magic.ahead_s = -200
    try:
        bearer = around.bearer(signer(b"the first to arrive".ljust(32)))
        assert 200 == (await around.get("/x", bearer)).status
    finally:
        around.magic.ahead_s = 0
    shown_s = (await figures(around.gateway.admin_port))["gateway_clock_skew_seconds"]
    assert -220 <= shown_s <= -198  # less by the time that the answer took
    await around.gateway.said("Magic's clock is ")


async def test_workers_share_sessions_and_used_tokens(around: World) -> None:
    """A session that was made by one is good for the other, and a token is used once in all."""
    cookie = await around.sign_in()
    answers = [await around.get("/me", cookie) for _ in range(12)]
    assert {200} == {answer.status for answer in answers}
    bearer = around.bearer()
    uses = [await fetch(around.port, "POST", "/_gateway/session", bearer) for _ in range(6)]
    assert [201, 409, 409, 409, 409, 409] == [answer.status for answer in uses]


async def test_all_workers_obey_a_revocation(around: World) -> None:
    """The supervisor, who listens to operators, has one of them do it."""
    by = signer(b"known to all workers".ljust(32))
    cookie, bearer = await around.sign_in(by), around.bearer(by)
    for field in (cookie, bearer):
        assert {200} == {(await around.get("/me", field)).status for _ in range(12)}

    body = f'{{"issuer": "{by.issuer}"}}'.encode()
    answer = await fetch(
        around.gateway.admin_port,
        "POST",
        "/api/revocations",
        "Content-Type: application/json",
        body=body,
    )

    assert (200, 1) == (answer.status, answer.json()["sessions_ended"])
    for field in (cookie, bearer):
        await _answers(around, "/me", 401, field)


async def test_no_request_fails_on_reload(around: World) -> None:
    """All workers take the new config, under load; a bad one is taken by none."""
    text = around.gateway.config.read_text()
    async with load(around.port, "/public/x") as made:
        for number in range(5):
            around.gateway.config.write_text(text + EXTRA.format(path=f"/extra-{number}"))
            around.gateway.process.send_signal(signal.SIGHUP)
            await _answers(around, f"/extra-{number}", 200)
        around.gateway.config.write_text(text.replace("workers: 2", "workers: 3"))
        around.gateway.process.send_signal(signal.SIGHUP)
        await around.gateway.said("config not reloaded: server.workers: needs a restart")
        await _answers(around, "/extra-4", 200)
        around.gateway.config.write_text(text)
    assert [] == made.broken
    assert {200} == set(made.answers)


async def test_a_killed_worker_is_replaced(around: World) -> None:
    """Only what it was serving fails; connections that wait for it are served by the next one."""
    victim = (await _all_up(around))[1]
    restarts = (await figures(around.gateway.admin_port))["gateway_worker_restarts_total"]
    async with load(around.port, "/public/x") as made:
        await made.more(200)
        os.kill(victim, signal.SIGKILL)
        await until(lambda: around.gateway.workers()[1] != victim)
        await _all_up(around)
        broken = len(made.broken)
        assert 0 < broken <= CLIENTS
        await made.more(1000)
    assert broken == len(made.broken)
    assert {200} == set(made.answers)
    found = await figures(around.gateway.admin_port)
    assert restarts + 1 == found["gateway_worker_restarts_total"]
    assert 2 == found['gateway_workers{state="up"}']


async def test_connections_do_not_wait_for_a_successor(around: World) -> None:
    """While it starts, for however long, the other worker accepts what the kernel gives to it."""
    old = await _all_up(around)
    os.kill(old[1], signal.SIGKILL)
    successor = await around.gateway.successor(set(old.values()))
    os.kill(successor, signal.SIGSTOP)
    try:
        async with asyncio.timeout(MAX_WAIT_S):
            answers = await asyncio.gather(*(around.get("/public/x") for _ in range(40)))
        assert {200} == {answer.status for answer in answers}
    finally:
        os.kill(successor, signal.SIGCONT)
    assert successor == (await _all_up(around))[1]
    before = _used_s(successor)
    async with load(around.port, "/public/x", clients=32) as made:
        await made.more(1000)
    assert ([], True) == (made.broken, _used_s(successor) > before)


async def test_a_replacement_has_the_config_in_use(around: World) -> None:
    """Not the one of the start, nor a bad one that stands in the file by now."""
    text = around.gateway.config.read_text()
    around.gateway.config.write_text(text + EXTRA.format(path="/extra"))
    await _answers(around, "/extra", 200)
    around.gateway.config.write_text("nonsense")
    old = set((await _all_up(around)).values())
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    await until(lambda: not old & set(around.gateway.workers().values()))
    await _answers(around, "/extra", 200)


async def test_a_worker_that_cannot_start(around: World) -> None:
    """The others serve all, as soon as it is clear that it is not back at once."""
    await _all_up(around)
    killed: set[int] = set()
    async with asyncio.timeout(60):
        while not any("another starts in 1.6 s" in said for said in around.gateway.messages):
            victim = around.gateway.workers()[1]
            if victim not in killed:
                os.kill(victim, signal.SIGKILL)
                killed.add(victim)
            await asyncio.sleep(0.02)
    answers = [await around.get("/public/x") for _ in range(20)]
    assert {200} == {answer.status for answer in answers}


async def test_development_mode(tmp_path: Path) -> None:
    """Users that one worker made up are known to the other; so are sessions."""
    async with gateway(DEVELOPMENT, tmp_path) as running:
        for number in range(6):
            page = f"/_gateway/development/token?email=user{number}@example.com"
            token = (await fetch(running.port, "POST", page)).body.decode().strip()
            bearer = f"Authorization: Bearer {token}"
            assert 201 == (await fetch(running.port, "POST", "/_gateway/session", bearer)).status
            assert 200 == (await fetch(running.port, "GET", "/_gateway/session", bearer)).status


async def test_a_worker_that_is_told_to_end(around: World) -> None:
    """While it lets a stream finish, others serve all that come; then it is replaced."""
    go_on = asyncio.Event()
    await _stream_slowly(around, go_on)
    old = await _all_up(around)
    async with AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(connected(around.port)) for _ in range(16)]
        for client in streams:  # so many that the first worker has one
            await client.send(b"GET /public/slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await client.reader.readuntil(b"but")
        os.kill(old[1], signal.SIGTERM)
        await around.gateway.said("worker 1 ends")
        answers = [await around.get("/public/x") for _ in range(20)]
        assert {200} == {answer.status for answer in answers}
        assert old == around.gateway.workers()

        go_on.set()
        for client in streams:
            assert b"ter" == await client.reader.readexactly(3)
    await until(lambda: around.gateway.workers()[1] != old[1])
    await _answers(around, "/public/x", 200)


async def test_a_client_has_its_cap_over_all_workers(tmp_path: Path) -> None:
    """It is served within a tenth of so many connections, also after a worker has died."""
    caps = f"{{connections_per_client: {CAP}}}"
    async with world(tmp_path, workers="2", admin=ADMIN, max=caps) as around:
        for _ in range(2):
            async with AsyncExitStack() as stack:
                served = [await _is_served(around, stack) for _ in range(CAP * 2)]
                assert CAP * 0.9 <= sum(served) <= CAP * 1.1
            old = (await _all_up(around))[1]
            os.kill(old, signal.SIGKILL)
            await until(partial(_is_replaced, around, old))


def _is_replaced(around: World, old: int) -> bool:
    return around.gateway.workers()[1] != old


async def _is_served(around: World, stack: AsyncExitStack) -> bool:
    """Whether one more connection is answered; it stays open."""
    client = await stack.enter_async_context(connected(around.port))
    await client.send(b"GET /public/x HTTP/1.1\r\nHost: localhost\r\n\r\n")
    try:
        return (await client.answer()).status == 200
    except (h11.RemoteProtocolError, ConnectionError):
        return False


# --- the end -----------------------------------------------------------------------------------


async def _stream_slowly(around: World, go_on: asyncio.Event) -> None:
    async def slow(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nbut")
        await go_on.wait()
        writer.write(b"ter")
        await writer.drain()

    around.app.streams["/public/slow"] = slow


async def test_sigterm_lets_streams_finish(tmp_path: Path) -> None:
    """
    While it drains it is not ready, accepts nothing, and ends with status 0 after the last.

    The workers get the signal, too, as from systemd, which sends it to every process.
    """
    go_on = asyncio.Event()
    async with world(tmp_path, workers="2", admin=ADMIN) as around:
        await _stream_slowly(around, go_on)
        async with connected(around.port) as client:
            await client.send(b"GET /public/slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await client.reader.readuntil(b"but")
            around.gateway.process.send_signal(signal.SIGTERM)
            for pid in around.gateway.workers().values():
                os.kill(pid, signal.SIGTERM)
            async with asyncio.timeout(TIMEOUT_S):
                while (await fetch(around.gateway.admin_port, "GET", "/readyz")).status != 503:
                    await asyncio.sleep(0.01)
            async with asyncio.timeout(TIMEOUT_S):
                while await _accepts(around):
                    await asyncio.sleep(0.01)
            go_on.set()
            assert b"ter" == await client.reader.readexactly(3)
        assert 0 == await asyncio.wait_for(around.gateway.process.wait(), TIMEOUT_S)


async def _accepts(around: World) -> bool:
    try:
        async with connected(around.port):
            return True
    except ConnectionError:
        return False


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_second_sigterm_ends_at_once(tmp_path: Path, workers: str) -> None:
    """A second SIGTERM skips the drain."""
    async with world(tmp_path, workers=workers) as around:
        await _stream_slowly(around, asyncio.Event())
        async with connected(around.port) as client:
            await client.send(b"GET /public/slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await client.reader.readuntil(b"but")
            around.gateway.process.send_signal(signal.SIGTERM)
            await around.gateway.said("draining")
            around.gateway.process.send_signal(signal.SIGTERM)
            assert 0 == await asyncio.wait_for(around.gateway.process.wait(), 20)


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_drain_delay(tmp_path: Path, workers: str) -> None:
    """For that long all goes on, but each answer is its connection's last."""
    changes = {"workers": workers, "admin": ADMIN, "timeouts": "{drain_delay: 30s}"}
    async with world(tmp_path, **changes) as around:
        around.gateway.process.send_signal(signal.SIGTERM)
        await around.gateway.said("draining")
        async with asyncio.timeout(TIMEOUT_S):
            while (await fetch(around.gateway.admin_port, "GET", "/readyz")).status != 503:
                await asyncio.sleep(0.01)
        answer = await around.get("/public/x")
        assert (200, "close") == (answer.status, answer.value("Connection"))


async def _everything_ends(running: GatewayProcess) -> None:
    pids = [*running.workers().values(), *running.children()]
    assert pids
    running.process.kill()
    await running.process.wait()
    await until(lambda: all(map(_is_gone, pids)))


@pytest.mark.parametrize("workers", [1, 2])
async def test_nothing_outlives_the_supervisor(tmp_path: Path, workers: int) -> None:
    """Workers and the embedded store end when it is killed, and so does the store of one alone."""
    text = DEVELOPMENT.replace("workers: 2", f"workers: {workers}")
    async with gateway(text, tmp_path) as running:
        await _everything_ends(running)


@at_best_of(3)
async def test_readiness_is_answered_without_waiting(tmp_path: Path) -> None:
    """Neither a store nor a worker that hangs delays it: orchestrators give up after a second."""
    async with world(tmp_path, workers="2", admin=ADMIN, redis_timeout="10s") as around:

        async def ready() -> object:
            with Stopwatch(1):
                answer = await fetch(around.gateway.admin_port, "GET", "/readyz")
            return answer.status, answer.json()

        around.store.pause()
        try:
            assert (200, {"status": "ok", "store": "unavailable"}) == await ready()
        finally:
            around.store.resume()
        hanging = around.gateway.workers()[1]
        os.kill(hanging, signal.SIGSTOP)
        try:
            assert (200, {"status": "ok", "store": "ok"}) == await ready()
        finally:
            os.kill(hanging, signal.SIGCONT)
