"""The dashboard of a gateway with two workers: what it shows, and what is done by it."""

import asyncio
import json
import os
import re
import signal
import time
from base64 import b64encode
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
import pytest_asyncio

from gateway.hooks.dead_letters import DeadLetters
from gateway.hooks.queue import Attempts, Claim
from gateway.store.connect import redis_client
from gateway.store.redis import RedisStore
from tests.fakes.free_port import closed_port
from tests.fakes.hooks import SECRET, endpoint, event
from tests.fakes.http import connected, fetch
from tests.fakes.lines import whole_lines
from tests.fakes.metrics import Totals, figures, totals
from tests.fakes.places import CITIES, write
from tests.fakes.tokens import ALICE, BOB
from tests.fakes.world import ADMIN, LONG, World, world

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY = b64encode(b"d" * 32).decode()
JSON = "Content-Type: application/json"
MORE = f"""
audit: {{{{file: "{{}}", key: "{KEY}"}}}}
hooks:
  endpoints:
    - {{{{name: crm, url: "https://crm.invalid/", secret: "{SECRET}", events: [user.login]}}}}
"""
MORE_ROUTES = """
  - {name: few, match: {path: "/few/*"}, auth: none, limits: [few], upstream: app}
  - {name: dead, match: {path: "/dead/*"}, auth: none, upstream: dead}
"""
TRIED = Attempts(13, 1_700_000_000_000, "status 503")
WITHIN_S = 20

Told = dict[str, Any]


class Console(NamedTuple):
    """A gateway, and its audit file."""

    around: World
    file: Path

    async def asks(self, path: str) -> Told:
        """What is told of a path."""
        answer = await fetch(self.around.gateway.admin_port, "GET", path)
        assert 200 == answer.status, answer.body
        return dict(json.loads(answer.body))

    async def does(self, action: str, expected: int = 200, **document: object) -> Told:
        """What comes of an action."""
        body, path = json.dumps(document).encode(), f"/api/actions/{action}"
        answer = await fetch(self.around.gateway.admin_port, "POST", path, JSON, body=body)
        assert expected == answer.status, answer.body
        return dict(json.loads(answer.body))

    def audited(self, kind: str) -> list[Told]:
        """The lines of one kind."""
        lines = map(json.loads, whole_lines(self.file))
        return [line for line in lines if line["event"] == kind]


class Events(NamedTuple):
    """The events of a page that is open."""

    reader: asyncio.StreamReader

    async def until(self, is_so: Callable[[Told], bool]) -> tuple[Told, list[Told]]:
        """The figures, when they are as they should become, and the refusals until then."""
        refusals: list[Told] = []
        async with asyncio.timeout(WITHIN_S):
            while True:
                name, data = await self._next()
                if name == "refusals":
                    refusals += data
                elif name == "figures" and is_so(data):
                    return data, refusals

    async def now(self) -> Told:
        """The next figures that are read from now on."""
        now_s = time.time()
        found, _ = await self.until(lambda told: told["time_s"] >= now_s)
        return found

    async def _next(self) -> tuple[str, Any]:
        while not (line := await self.reader.readline()).startswith(b"event: "):
            assert line, "the events have ended"
        data = await self.reader.readline()
        return line[7:-1].decode(), json.loads(data.removeprefix(b"data: "))


@asynccontextmanager
async def opened(port: int) -> AsyncIterator[Events]:
    """The events, as a page reads them."""
    async with connected(port) as client:
        await client.send(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        yield Events(client.reader)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def console(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Console]:
    folder = tmp_path_factory.mktemp("dashboard")
    file = folder / "audit.jsonl"
    places = write(folder / "cities.mmdb", CITIES)
    with closed_port() as dead:
        async with world(
            folder,
            admin=ADMIN,
            workers="2",
            client_ip="x-forwarded-for",
            trusted_proxies="[127.0.0.0/8]",
            more=MORE.format(file) + f"\npages: {{places: '{places}'}}",
            more_limits=f"  few: {{rate: 3/{LONG}}}\n",
            more_upstreams=f'  dead: {{servers: ["http://127.0.0.1:{dead}"]}}\n',
            more_routes=MORE_ROUTES,
        ) as around:
            yield Console(around, file)


def _all(found: Told) -> int:
    return int(sum(found["requests"].values()))


async def test_figures_are_those_of_the_metrics(console: Console) -> None:
    """Of both workers together, and each refusal is told once, with what explains it."""
    around = console.around
    async with opened(around.gateway.admin_port) as page:
        before = await page.now()
        async with asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(around.get("/public/x" if number % 2 else "/x"))
        found, refusals = await page.until(lambda told: _all(told) == _all(before) + 20)
        shown = await figures(around.gateway.admin_port)

    requests = {name: value for name, value in shown.items() if "requests_total{" in name}
    assert sum(requests.values()) == _all(found)
    assert (
        shown['gateway_refusals_total{code="unauthenticated"}']
        == (found["refusals"]["unauthenticated"])
    )
    assert shown["gateway_request_duration_seconds_count"] == sum(found["durations"]["total"])
    [public] = [each for each in found["routes"] if each["route"] == "public"]
    assert (
        requests['gateway_requests_total{method="GET",route="public",status="200"}']
        == (public["requests"])
    )
    served = {each["worker"]: each["requests"] for each in found["workers"]}
    assert _all(found) == served["worker 1"] + served["worker 2"]
    assert 10 == len({each["id"] for each in refusals if each["path"] == "/x"})

    question = json.dumps(refusals[-1]["question"]).encode()
    port = around.gateway.admin_port
    answer = await fetch(port, "POST", "/api/explain", JSON, body=question)
    explained = json.loads(answer.body)
    assert ("refused", 401, "rest") == (
        explained["verdict"],
        explained["status"],
        explained["route"],
    )


async def test_an_action_that_is_refused_has_a_line(console: Console) -> None:
    """A page of another origin asks for it, again and again: one line, and nothing is done."""
    port = console.around.gateway.admin_port
    for _ in range(5):
        fields = (JSON, "Origin: https://evil.example")
        assert 403 == (await fetch(port, "POST", "/api/actions/drain", *fields, body=b"{}")).status
    async with asyncio.timeout(WITHIN_S):
        while not console.audited("admin.refused"):
            await asyncio.sleep(0.01)
    [line] = console.audited("admin.refused")
    assert ("unknown", "127.0.0.1", "/api/actions/drain", "forbidden") == tuple(
        line[name] for name in ("actor", "from", "subject", "reason")
    )
    assert 1 == line["details"]["count"]
    assert [] == console.audited("gateway.drained")


LOAD = (
    *("/public/a", "/optional/x", "/x", "/tight/x", "/public/b", "/dead/x", "/_gateway/nothing"),
    *("/tight-private/x", "/public/%2e%2e/x"),
)
"""Targets on several routes, answered with several statuses; the last ends its connection."""
CLIENTS = 6
_STATUS = re.compile(rb"HTTP/1\.1 ([0-9]{3}) ")


async def test_under_load_figures_are_those_of_the_metrics(console: Console) -> None:
    """Between those of two scrapes while clients ask, and in the end the same, to the request."""
    port, around = console.around.gateway.admin_port, console.around
    between: list[tuple[int, int, int]] = []
    is_over = asyncio.Event()
    async with opened(port) as page:
        before = await page.now()
        async with asyncio.TaskGroup() as group:
            clients = [group.create_task(_asks(around.port, is_over)) for _ in range(CLIENTS)]
            for _ in range(2):
                low, told = await totals(port), await page.now()
                between.append((low.asked, _all(told), (await totals(port)).asked))
            is_over.set()
        statuses = sum((client.result() for client in clients), Counter[int]())
        found, _ = await page.until(lambda told: _all(told) == _all(before) + statuses.total())

    assert [] == [each for each in between if sorted(each) != list(each)]
    assert between[0][1] < between[1][1]
    assert CLIENTS * len(LOAD) < statuses.total()
    assert 0 == statuses.total() % len(LOAD)
    assert {200, 400, 401, 404, 429} < statuses.keys(), "and those of a server that is down"
    classes = Counter[str](before["requests"])
    for status, count in statuses.items():
        classes[f"{status // 100}xx"] += count
    assert dict(classes) == found["requests"]
    assert await totals(port) == Totals.told(found)
    assert all(each["requests"] for each in found["workers"] if each["worker"] != "supervisor")


async def _asks(port: int, is_over: asyncio.Event) -> Counter[int]:
    """What one client is answered, which asks for all on each of its connections."""
    head = "GET {} HTTP/1.1\r\nHost: localhost\r\n{}\r\n"
    asked = "".join(head.format(each, "") for each in LOAD[:-1])
    asked += head.format(LOAD[-1], "Connection: close\r\n")
    statuses = Counter[int]()
    while not is_over.is_set():
        async with connected(port) as client:
            await client.send(asked.encode())
            statuses.update(map(int, _STATUS.findall(await client.reader.read(-1))))
    return statuses


async def test_events_outlast_a_reload_and_a_worker(console: Console) -> None:
    """The page that is open shows what the new config and the next worker do."""
    around = console.around
    async with opened(around.gateway.admin_port) as page:
        before = await page.now()
        done = await console.does("reload")
        assert ("applied", []) == (done["outcome"], done["problems"])
        applied = before["reloads"].get("applied", 0)
        await page.until(lambda told: told["reloads"].get("applied", 0) == applied + 1)
        [line] = console.audited("config.reloaded")
        assert ("admin-api", "127.0.0.1", "the API") == (
            line["actor"],
            line["from"],
            line["reason"],
        )

        os.kill(around.gateway.workers()[1], signal.SIGKILL)
        totals_seen = [_all(before)]

        def is_up_again(told: Told) -> bool:
            totals_seen.append(_all(told))
            return told["restarts"] == 1 and all(each["up"] for each in told["workers"])

        await page.until(is_up_again)
    assert sorted(totals_seen) == totals_seen


async def test_a_reload_that_is_refused_says_why(console: Console) -> None:
    """The old config stays, and the page shows what is wrong with the file."""
    config = console.around.gateway.config
    text = config.read_text()
    config.write_text(text + "\nnonsense: 1\n")
    try:
        done = await console.does("reload")
        assert "refused" == done["outcome"]
        assert any("nonsense" in problem for problem in done["problems"])
        shown = await console.asks("/api/config")
        assert "nonsense" in {each["key"] for each in shown["findings"]}
        assert "refused" == shown["reloads"][0]["outcome"]
    finally:
        config.write_text(text)
    assert "applied" == (await console.does("reload"))["outcome"]
    shown = await console.asks("/api/config")
    assert str(config) == shown["file"]
    assert all(each["severity"] == "warning" for each in shown["findings"])


async def test_a_limit_is_reset(console: Console) -> None:
    """The caller begins from zero at all workers; what names no limit or caller is refused."""
    around = console.around
    statuses = [(await around.get("/few/x")).status for _ in range(4)]
    assert [200, 200, 200, 429] == statuses
    done = await console.does("reset-limit", limit="few", caller="127.0.0.1")
    assert done["was_counted"]
    assert 200 == (await around.get("/few/x")).status
    [line] = console.audited("limit.reset")
    assert ("admin-api", "127.0.0.1", "few") == (
        line["actor"],
        line["subject"],
        line["details"]["limit"],
    )
    await console.does("reset-limit", 400, limit="none", caller="127.0.0.1")
    await console.does("reset-limit", 400, limit="few", caller="not an address")
    await console.does("reset-limit", 400, limit="few")


async def test_people_are_found_and_one_session_is_ended(console: Console) -> None:
    """By email, by domain, by issuer, or all; the other session stays."""
    around = console.around
    abroad = "X-Forwarded-For: 89.160.20.1"
    first, second = await around.sign_in(ALICE), await around.sign_in(ALICE, 900, abroad)
    for wanted in ("", "alice@example.com", "@example.com", ALICE.issuer):
        page = await console.asks(f"/api/people?q={quote(wanted)}")
        [person] = page["people"]
        assert (ALICE.issuer, "alice@example.com", 2, "") == (
            person["issuer"],
            person["email"],
            person["sessions"],
            page["more"],
        )
    assert [] == (await console.asks("/api/people?q=%40example.org"))["people"]

    of_alice = await console.asks(f"/api/people/sessions?issuer={quote(ALICE.issuer)}")
    ids = [each["id"] for each in of_alice["sessions"]]
    assert {None, "Sweden"} == {each["place"] for each in of_alice["sessions"]}
    assert 2 == len(ids)
    ended = await console.does("end-session", issuer=ALICE.issuer, session=ids[0])
    assert 1 == ended["sessions_ended"]
    statuses = {(await around.get("/x", cookie)).status for cookie in (first, second)}
    assert {200, 401} == statuses
    [line] = console.audited("session.revoked")
    assert (ALICE.issuer, ids[0]) == (line["subject"], line["details"]["session"])
    again = await console.does("end-session", issuer=BOB.issuer, session=ids[1])
    assert 0 == again["sessions_ended"]


async def test_dead_letters_are_queued_again(console: Console) -> None:
    """One by its id, or all of an endpoint that the config has."""
    async with redis_client(console.around.store.url, 2) as client:
        dead = DeadLetters(RedisStore(client, "", 2), "")
        for name in ("one", "two", "three"):
            claim = Claim("did:ethr:0xAd", 1, "1", event(name), Attempts())
            await dead.keep(endpoint("crm"), claim, TRIED)
    shown = await console.asks("/api/hooks")
    assert [("crm", 3)] == [(each["endpoint"], each["dead"]) for each in shown["endpoints"]]
    assert ["one", "two", "three"] == [each["event_id"] for each in shown["letters"]]
    assert {"moved": 1, "kept": 2} == await console.does("replay", endpoint="crm", event_id="two")
    assert {"moved": 2, "kept": 0} == await console.does("replay", endpoint="crm")
    assert [["two"], ["one", "three"]] == [
        line["details"]["events"] for line in console.audited("hooks.replayed")
    ]
    await console.does("replay", 400, endpoint="none")


async def test_draining_by_the_dashboard(console: Console) -> None:
    """The gateway ends as after SIGTERM, although a page is open; the last test of its world."""
    async with opened(console.around.gateway.admin_port) as page:
        await page.until(lambda _: True)
        assert "draining" == (await console.does("drain"))["status"]
        async with asyncio.timeout(WITHIN_S):
            assert 0 == await console.around.gateway.process.wait()
    [line] = console.audited("gateway.drained")
    assert "admin-api" == line["actor"]
