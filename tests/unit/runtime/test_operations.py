"""What operators look up and do by the dashboard, over a real store."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from gateway.admin.access import Operator
from gateway.admin.operations import NotPossible
from gateway.core.errors import StoreUnavailable
from gateway.core.identity import AuthMethod, Identity, User
from gateway.hooks.dead_letters import DeadLetters
from gateway.hooks.queue import Attempts, Claim
from gateway.runtime import operations as module
from gateway.runtime.operations import ProcessOperations, process_operations
from gateway.store.connect import redis_client
from gateway.store.redis import RedisStore
from tests.fakes import servers
from tests.fakes.audit import FakeTrail
from tests.fakes.hooks import SECRET, endpoint, event
from tests.fakes.memory import FakeClock, MemoryStore
from tests.fakes.services import settings_of
from tests.fakes.tokens import ALICE

CONFIG = f"""
limits: {{few: {{rate: 3/day}}, person: {{rate: 3/day, per: issuer}}}}
hooks:
  endpoints:
    - {{name: crm, url: "https://crm.invalid/", secret: "{SECRET}", events: [user.login]}}
"""
ADA = ALICE.issuer
FROM = "127.0.0.1"
BY = Operator(origin=FROM)
TRIED = Attempts(13, 1_700_000_000_000, "status 503")


class File(NamedTuple):
    """A config file that has not changed."""

    path: Path
    sha256: str = "ab" * 32
    warnings: tuple[str, ...] = ()

    def has_changed(self) -> bool:
        return False


class Works(NamedTuple):
    """The operations, their audit lines, and their store."""

    operations: ProcessOperations
    trail: FakeTrail
    store: RedisStore

    @property
    def lines(self) -> list[tuple[str, str, str, str, dict[str, Any]]]:
        """What was written down: kind, actor, subject, address and details."""
        return [
            (each.event.value, each.actor, each.subject, each.origin, dict(each.details))
            for each in self.trail.entries
        ]


@pytest.fixture(scope="module")
def server() -> Iterator[servers.RealServer]:
    with servers.valkey() as started:
        yield started


@pytest.fixture
async def works(server: servers.RealServer) -> AsyncIterator[Works]:
    settings, trail = settings_of(CONFIG, redis=server.url), FakeTrail()
    async with redis_client(server.url, 2) as client:
        await client.flushall()
        store = RedisStore(client, "", 2)
        made = process_operations(lambda: settings, server.url, store, b"k" * 32, trail)
        async with made as operations:
            yield Works(operations, trail, store)


async def _sign_in(works: Works, token_id: str) -> None:
    ends_ms = int((time.time() + 900) * 1000)
    proven = Identity(User(ADA, "ada@example.com"), AuthMethod.DID_TOKEN, token_id, ends_ms)
    await works.operations._sessions().create(proven)


async def test_one_session_is_ended(works: Works) -> None:
    """The other stays; the line names the session, the issuer and the address."""
    await _sign_in(works, "one")
    await _sign_in(works, "two")
    ids = [each["id"] for each in (await works.operations.sessions(ADA))["sessions"]]
    assert 2 == len(ids)
    document = {"issuer": ADA, "session": ids[0]}
    ended = await works.operations.end_session(document, BY)
    assert {"issuer": ADA, "sessions_ended": 1} == ended
    left = (await works.operations.sessions(ADA))["sessions"]
    assert [ids[1]] == [each["id"] for each in left]
    assert [("session.revoked", "admin-api", ADA, FROM, {"session": ids[0]})] == works.lines
    assert 0 == (await works.operations.end_session(document, BY))["sessions_ended"]
    assert 1 == len(works.lines)


async def test_people_are_found(works: Works) -> None:
    """By name, by domain, or all; the search is gone on with by what a page told."""
    await _sign_in(works, "one")
    for wanted in ("", ADA, "ada@example.com", "@example.com"):
        page = await works.operations.people(wanted, "")
        assert [(ADA, 1)] == [(each["issuer"], each["sessions"]) for each in page["people"]]
        assert "" == page["more"]
    assert [] == (await works.operations.people("@example.org", ""))["people"]
    with pytest.raises(ValueError, match="begin again"):
        await works.operations.people("", "made up")


async def test_after_a_reload_people_are_read_by_its_keys(server: servers.RealServer) -> None:
    """When they signed in is sealed by the first of them."""
    used = settings_of("session: {keys: [an old key that is long enough to be one]}")
    async with redis_client(server.url, 2) as client:
        await client.flushall()
        store = RedisStore(client, "", 2)
        made = process_operations(lambda: used, server.url, store, b"k" * 32, FakeTrail())
        async with made as operations:
            assert [] == (await operations.people(ADA, ""))["people"]
            used = settings_of("session: {keys: [a new key that is long enough to be one]}")
            works = Works(operations, FakeTrail(), store)
            await _sign_in(works, "one")
            [person] = (await operations.people(ADA, ""))["people"]
            assert person["signed_in_at"] is not None


async def test_a_caller_begins_from_zero(works: Works) -> None:
    """The line names the limit and the caller, also where nothing was counted of it."""
    limit = {"limit": "few", "caller": "192.0.2.7"}
    done = await works.operations.reset_limit(limit, BY)
    assert {**limit, "was_counted": False} == done
    assert [("limit.reset", "admin-api", "192.0.2.7", FROM, done)] == works.lines


async def test_few_read_the_callers_of_limits_at_one_time(
    works: Works, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has a connection to the store, and any number of requests may come."""
    scan, reading = works.operations._scan, [0, 0]

    async def counted(start: str) -> AsyncIterator[list[str]]:
        reading[0] += 1
        reading[1] = max(reading)
        async for keys in scan(start):
            yield keys
            await asyncio.sleep(0)
        reading[0] -= 1

    monkeypatch.setattr(works.operations, "_scan", counted)
    told = await asyncio.gather(*(works.operations.callers("few") for _ in range(12)))
    assert 12 == len(told)
    assert 1 <= reading[1] <= module.MAX_LIMIT_READS


async def test_dead_letters_are_queued_again(works: Works) -> None:
    """One by its id, or all of an endpoint; each portion has a line with its ids."""
    dead = DeadLetters(works.store, "")
    for name in ("one", "two", "three"):
        await dead.keep(endpoint("crm"), Claim(ADA, 1, "1", event(name), Attempts()), TRIED)
    shown = await works.operations.hooks()
    assert [("crm", 0, 3)] == [
        (each["endpoint"], each["waiting"], each["dead"]) for each in shown["endpoints"]
    ]
    assert ["one", "two", "three"] == [each["event_id"] for each in shown["letters"]]
    one = {"endpoint": "crm", "event_id": "two"}
    assert {"moved": 1, "kept": 2} == await works.operations.replay(one, BY)
    assert {"moved": 0, "kept": 2} == await works.operations.replay(one, BY)
    assert {"moved": 2, "kept": 0} == await works.operations.replay({"endpoint": "crm"}, BY)
    assert [
        ("hooks.replayed", "admin-api", "crm", FROM, {"events": ["two"]}),
        ("hooks.replayed", "admin-api", "crm", FROM, {"events": ["one", "three"]}),
    ] == works.lines


async def test_draining_is_asked_for_once(works: Works) -> None:
    """The line is there before the end begins; a second request does not end the drain."""
    stopped: list[int] = []
    works.operations.stop = lambda: stopped.append(len(works.lines))
    for _ in range(2):
        assert {"status": "draining"} == await works.operations.drain({}, BY)
    await asyncio.sleep(0)
    assert [2] == stopped
    assert [("gateway.drained", "admin-api", "gateway", FROM, {})] * 2 == works.lines


async def test_a_reload_answers_with_its_outcome(works: Works, tmp_path: Path) -> None:
    """And asks for the address that the audit line has."""
    operations = works.operations
    operations.file = File(tmp_path / "gateway.yaml")
    asked = asyncio.create_task(operations.reload({}, BY))
    await operations.requests.asked.wait()
    begun = operations.requests.begin()
    assert ("the API", [BY]) == (begun.why, begun.asked_by)
    operations.requests.note(begun, "refused", ["routes: empty"])
    assert {"outcome": "refused", "problems": ("routes: empty",)} == await asked
    assert [] == works.lines, "the reload itself writes the line"
    [shown] = (await operations.config())["reloads"]
    assert ("refused", ("routes: empty",)) == (shown["outcome"], shown["problems"])


async def test_a_reload_that_takes_long_says_so(
    works: Works, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its outcome is still for the one who asked."""
    monkeypatch.setattr(module, "_RELOAD_S", 0.001)
    works.operations.file = File(tmp_path / "gateway.yaml")
    with pytest.raises(NotPossible, match="takes long"):
        await works.operations.reload({}, BY)
    assert [BY] == works.operations.requests.begin().asked_by


async def test_what_the_config_says_is_shown(works: Works, tmp_path: Path) -> None:
    """Errors of the file that is there now come first."""
    path = tmp_path / "gateway.yaml"
    path.write_text("nonsense: 1\n")
    works.operations.file = File(path)
    shown = await works.operations.config()
    assert (str(path), "ab" * 32, []) == (shown["file"], shown["sha256"], shown["reloads"])
    assert "error" == shown["findings"][0]["severity"]
    assert "nonsense" in {each["key"] for each in shown["findings"]}


async def test_a_gateway_that_drains_reads_no_config(works: Works, tmp_path: Path) -> None:
    """The operator is told so at once."""
    works.operations.file = File(tmp_path / "gateway.yaml")
    works.operations.requests.end()
    with pytest.raises(NotPossible, match="drains"):
        await works.operations.reload({}, BY)


async def test_what_another_process_does_is_not_possible(works: Works) -> None:
    """A worker does not drain; settings without a file are not read again."""
    operations = works.operations
    for asked in (operations.drain({}, BY), operations.reload({}, BY), operations.config()):
        with pytest.raises(NotPossible):
            await asked
    assert [] == works.lines


@pytest.mark.parametrize(
    ("action", "document"),
    [
        ("end_session", {}),
        ("end_session", {"issuer": ADA}),
        ("end_session", {"issuer": ADA, "session": ""}),
        ("end_session", {"issuer": ADA, "session": 1}),
        ("end_session", {"issuer": ADA, "session": "a", "more": "b"}),
        ("end_session", {"issuer": "ada", "session": "a"}),
        ("reset_limit", {"limit": "few"}),
        ("reset_limit", {"limit": "few", "caller": ["192.0.2.7"]}),
        ("reset_limit", {"limit": "few", "caller": "not an address"}),
        ("reset_limit", {"limit": "none", "caller": "192.0.2.7"}),
        ("reset_limit", {"limit": "person", "caller": "not an issuer"}),
        ("replay", {}),
        ("replay", {"endpoint": "none"}),
        ("replay", {"endpoint": ["crm"]}),
        ("replay", {"endpoint": "crm", "event_id": 1}),
        ("replay", {"endpoint": "crm", "all": True}),
        ("drain", {"now": "yes"}),
        ("reload", {"file": "/etc/passwd"}),
    ],
)
async def test_what_is_not_understood_does_nothing(
    works: Works, action: str, document: dict[str, Any]
) -> None:
    """And leaves no line."""
    works.operations.stop = lambda: pytest.fail("it drains")
    works.operations.file = File(Path("/nowhere"))
    with pytest.raises(ValueError, match=r"."):
        await getattr(works.operations, action)(document, BY)
    await asyncio.sleep(0)
    assert not works.operations.requests.asked.is_set()
    assert [] == works.lines


async def test_a_store_that_is_away_leaves_no_line() -> None:
    """What was not done is not written down."""
    settings, trail, store = settings_of(CONFIG), FakeTrail(), MemoryStore(FakeClock())
    store.is_down = True
    operations = ProcessOperations(lambda: settings, "unix:///nowhere", store, b"k" * 32, trail)
    for asked in (
        operations.end_session({"issuer": ADA, "session": "a"}, BY),
        operations.reset_limit({"limit": "few", "caller": "192.0.2.7"}, BY),
        operations.replay({"endpoint": "crm"}, BY),
        operations.people("", ""),
    ):
        with pytest.raises(StoreUnavailable):
            await asked
    assert [] == trail.entries
