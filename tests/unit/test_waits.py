"""Every wait of a request has a deadline: a walk over all of them."""

import ast
from collections.abc import Iterator
from pathlib import Path

import gateway

ROOT = Path(gateway.__file__).parent

NO_REQUESTS = {"runtime", "cli", "demo", "config", "telemetry", "admin", "explain"}
"""Rooms in which no request waits."""

BOUNDS = {
    "audit/log.py _tell_heads: self._has_head.wait()": "No request waits here.",
    "audit/log.py write: done": "The time-out around it.",
    "authn/did_token/verifier.py _value_or_failure: asked": "A read of the store, which has a "
    "deadline.",
    "authn/jwt/key_set.py keys: refresh": "The fetch, which has a time-out.",
    "hooks/courier.py _wait: self._woken.wait()": "The time-out around it; no request waits here.",
    "hooks/delivery.py run: asyncio.wait(self._under_way)": "As above.",
    "hooks/in_process.py send: asyncio.wait([task], timeout=self._timeout_s)": "Its own time-out; "
    "no request waits here.",
    "hooks/recorder.py aclose: asyncio.wait(self._recording)": "The store's deadline; no request "
    "waits here.",
    "hooks/outbox.py settle: asyncio.wait(self._registrations)": "As above.",
    "hooks/outbox.py settle: asyncio.wait({self._moving})": "As above.",
    "hooks/outbox.py sign_in: registering": "A call of the store, which has a deadline.",
    "hooks/delivery.py _noted: noting": "A call of the store, which has a deadline; no request "
    "waits here.",
    "hooks/delivery.py _wait: self._woken.wait()": "The time-out around it; no request waits here.",
    "pages/locks.py _acquire: self._waiters.acquire(attempt, space, name, asked.wait_s, "
    "is_wanted)": "What the request asks for, ten seconds at most.",
    "store/lock_waiters.py _ask: line.released.wait()": "The time-out around it.",
    "store/lock_waiters.py _in_turn: line.turn.acquire()": "The time-out around it.",
    "proxy/answer_costs.py aclose: asyncio.wait(self._tasks)": "The store's deadline, for each "
    "charge; no request waits here.",
    "proxy/downstream/serve.py finish: work": "The stages' and the tunnel's own waits.",
    "proxy/downstream/server.py drain: self._force_close.wait()": "The time-out around it.",
    "proxy/downstream/server.py _wait_until_empty: self._is_empty.wait()": "A drain's time-out; "
    "then all connections are aborted. No request waits here.",
    "proxy/exchange.py send: answer": "`expect_within`: the deadline of the app's connection.",
    "proxy/exchange.py send: asyncio.wait([pump])": "The pump was cancelled just before.",
    "proxy/upstream/length_body.py readany: self._waiter": "As above: it fails the body, too.",
    "proxy/tunnel/registry.py recheck_pending: self._recheck_requested.wait()": "Waits for "
    "work; no request waits here.",
    "proxy/tunnel/tunnel.py run: self._ended": "A tunnel lasts until a side, its session or its "
    "idle time ends it.",
    "proxy/upstream/pool.py _reserve: turn.granted": "The time-out around it.",
    "ratelimit/approximate.py _spend: answer": "The run that charges it leaves no future, and none "
    "is admitted before it: two runs at most, each of two calls of the store.",
    "ratelimit/approximate.py aclose: asyncio.wait([self._at_rest])": "The store's deadline, for "
    "each run; no request waits here.",
    "ratelimit/leases.py aclose: asyncio.wait([self._at_rest])": "As above.",
    "ratelimit/leases.py take: answer": "The run that takes it leaves no future, however it ends; "
    "it waits for the run before it and its own, and so twice the store's deadline at most.",
    "ratelimit/list_store.py watch: self._changed.wait()": "The time-out around it; no request "
    "waits here.",
    "ratelimit/list_store.py watch: self.refresh() if await self._is_stale() else "
    "self._use_known()": "The store's deadline; no request waits here.",
    "ratelimit/redis.py aclose: asyncio.wait([self._at_rest])": "As below; no request waits here.",
    "ratelimit/redis.py _bundled: self._bundle(spends, how).answer": "As below.",
    "ratelimit/redis.py _give_back: bundle.answer": "As below.",
    "ratelimit/redis.py _reserve: bundle.answer": "As below.",
    "ratelimit/redis.py spend: answer": "The run that charges it leaves no future, however it "
    "ends; it waits for the store alone, twice at most.",
    "sessions/delayed_ends.py _later: self._closing.wait()": "The time-out around it.",
    "sessions/idle.py aclose: asyncio.wait(self._writing)": "They await the store; no request "
    "waits here.",
    "store/cluster.py aclose: asyncio.wait(self._waiting)": "Their time-out.",
    "store/topology.py aclose: asyncio.wait([self._refresh])": "Cancelled just before.",
    "store/topology.py known: asyncio.wait([self._refresh])": "The time-out around it, in "
    "store/cluster.py, whose other futures end with the batch of a node.",
    "store/embedded.py stop: supervisor": "No request waits here.",
    "store/embedded.py _stops_within: self._stopping.wait()": "The time-out around it.",
    "store/redis.py aclose: asyncio.wait([self._at_rest])": "Exchanges, which the deadline of "
    "their batch interrupts.",
    "store/sentinel.py aclose: asyncio.wait([self._asking])": "The task was cancelled just before.",
    "store/sentinel.py discover_master: answer": "The time-out around it.",
    "store/store_check.py _published: heard.wait()": "The time-out around it.",
    "store/store_check.py _published: subscribed.wait()": "The time-out around it.",
    "store/wire.py replies: future": "The task of a batch, which the deadline of that interrupts.",
    "upstash/run.py upstash: stop.wait()": "Lasts until a signal; no request waits here.",
    "users/records.py _stored: pair": "A read of the store, which has a deadline.",
    "users/magic_logout.py aclose: asyncio.wait(tasks, timeout=END_S)": "Its time-out.",
    "store/rest_subscriber.py _line: asyncio.wait([reading], timeout=self._silence_s)": "Its "
    "time-out; no request waits here.",
    "store/rest_subscriber.py _line: asyncio.wait([reading])": "The time-out around it.",
    "util/time_box.py run: work": "The time of the box; and the work has deadlines of its own.",
    "util/background.py background: task": "The task was cancelled just before.",
}
"""What ends each wait. Add one only with such a reason."""


def open_ended() -> Iterator[str]:
    """Name each await of a future, an event or tasks; a coroutine has awaits of its own."""
    for path in sorted(ROOT.rglob("*.py")):
        place = path.relative_to(ROOT)
        if place.parts[0] in NO_REQUESTS:
            continue
        for function in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(function, ast.AsyncFunctionDef):
                for node in ast.walk(function):
                    if isinstance(node, ast.Await) and _has_no_end_of_its_own(node.value):
                        yield f"{place} {function.name}: {ast.unparse(node.value)}"


def _has_no_end_of_its_own(awaited: ast.expr) -> bool:
    if not isinstance(awaited, ast.Call):
        return True
    called = awaited.func
    return isinstance(called, ast.Attribute) and called.attr in {"wait", "join", "acquire"}


def test_every_wait_of_a_request_has_a_deadline() -> None:
    """A wait that is not listed with what ends it fails, and so does a line without a wait."""
    assert sorted(BOUNDS) == sorted(set(open_ended()))


def test_every_future_is_awaited_in_a_listed_place() -> None:
    """A module that makes futures has a wait in the list."""
    makers = {
        str(path.relative_to(ROOT))
        for path in ROOT.rglob("*.py")
        if "create_future()" in path.read_text()
        and path.relative_to(ROOT).parts[0] not in NO_REQUESTS
    }

    listed = {place.partition(" ")[0] for place in BOUNDS}
    assert {"proxy/upstream/connection.py"} == makers - listed  # `exchange` awaits its answers
