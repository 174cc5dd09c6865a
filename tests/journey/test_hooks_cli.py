"""``gateway hooks``, on a real store and beside real receivers."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import redis
from aiohttp import web
from aiohttp.test_utils import TestServer
from click.testing import CliRunner, Result
from standardwebhooks import Webhook

from gateway.cli.main import main
from gateway.hooks.dead_letters import DeadLetters
from gateway.hooks.outbox import Outbox
from gateway.hooks.queue import Attempts, Claim, DeliveryQueue
from gateway.store.connect import redis_client
from gateway.store.redis import RedisStore
from tests.fakes import servers
from tests.fakes.free_port import closed_port
from tests.fakes.hooks import ADA, BOB, SECRET, delivery, endpoint, event

CONFIG = """
server: {{public_url: https://app.example.com}}
redis: {{url: "{url}", prefix: "gw:"}}
magic: {{secret_key: sk_test_1}}
session: {{keys: ["a sealing key for tests, long enough"]}}
hooks:
  allow_private: [{allowed}]
  timeout: 2s
  endpoints:
    - {{name: crm, url: "http://127.0.0.1:{port}/hook?key=hidden", secret: "{secret}",
       events: [user.first_login, user.login]}}
    - {{name: mail, url: "https://mail.example.com/hook", secret: "{secret}",
       events: [user.first_login]}}
"""
TRIED = Attempts(13, 1_700_000_000_000, "status 503")


class Desk(NamedTuple):
    """Where commands are given, and a store under its prefix."""

    config: Path
    url: str

    def does(self, *words: str, feed: str | None = None) -> Result:
        """What comes of ``gateway hooks …``; no secret is in it."""
        words = ("hooks", *words, "--config", str(self.config))
        ran = CliRunner().invoke(main, words, input=feed)
        assert not isinstance(ran.exception, Exception), ran.output
        assert SECRET.removeprefix("whsec_") not in ran.output
        assert "hidden" not in ran.output
        return ran

    def told(self, *words: str) -> Any:
        """What a command prints for programs."""
        ran = self.does(*words, "--json")
        assert 0 == ran.exit_code, ran.output
        return json.loads(ran.stdout)

    def posts_to(self, port: int, allowed: str = "127.0.0.0/8") -> None:
        """Write the config."""
        self.config.write_text(
            CONFIG.format(url=self.url, port=port, allowed=allowed, secret=SECRET)
        )

    @asynccontextmanager
    async def store(self) -> AsyncIterator[RedisStore]:
        async with redis_client(self.url, 2) as client:
            yield RedisStore(client, "gw:", 2)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with servers.valkey() as store:
        yield store.url


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """``gateway check`` waits for a store that answers, however busy the machine is."""
    monkeypatch.setattr("gateway.cli.check.ASKED_S", 30.0)


@pytest.fixture
def desk(url: str, tmp_path: Path) -> Desk:
    with redis.Redis.from_url(url) as client:
        client.flushall()
    desk = Desk(tmp_path / "gateway.yaml", url)
    desk.posts_to(9)
    return desk


async def give_up(store: RedisStore, *names: str, where: str = "crm", subject: str = ADA) -> None:
    """Keep dead letters."""
    dead = DeadLetters(store, "gw:")
    for name in names:
        claim = Claim(subject, 1, "1", event(name, subject), Attempts())
        await dead.keep(endpoint(where), claim, TRIED)


async def claimed(store: RedisStore, where: str = "crm") -> list[str]:
    """The ids of events that are due."""
    claims = await DeliveryQueue(store, where).claim(60_000, 10)
    return sorted(json.loads(claim.event)["id"] for claim in claims)


def audited(ran: Result) -> list[dict[str, Any]]:
    """The lines of an audit on standard error."""
    lines = [line for line in ran.stderr.splitlines() if line.startswith("{")]
    return [json.loads(line) for line in lines]


async def test_endpoints_are_listed_with_what_waits(desk: Desk) -> None:
    """Also one that is in the config no more, as long as it has dead letters."""
    async with desk.store() as store:
        await DeliveryQueue(store, "crm").add([delivery("e1"), delivery("e2", BOB)])
        await give_up(store, "e3", "e4")
        await give_up(store, "e3", where="old")
    crm, mail, old = await asyncio.to_thread(desk.told, "list")
    assert {
        "endpoint": "crm",
        "url": "http://127.0.0.1:9/…",
        "events": ["user.first_login", "user.login"],
        "waiting": 2,
        "due": 2,
        "oldest_at": "2023-11-14T22:13:20.000Z",
        "dead": 2,
        "dead_trimmed": 0,
    } == crm
    assert ("mail", 0, 0, None, 0) == tuple(
        mail[key] for key in ("endpoint", "waiting", "due", "oldest_at", "dead")
    )
    assert ("old", None, 1) == (old["endpoint"], old["url"], old["dead"])
    shown = (await asyncio.to_thread(desk.does, "list")).stdout
    assert "    2 waiting, 2 due, the oldest of 2023-11-14T22:13:20.000Z\n    2 dead" in shown
    assert "old  not in the config" in shown


def test_without_webhooks_nothing_is_listed(desk: Desk) -> None:
    """Exit status 1; 3 where the store is away."""
    text = desk.config.read_text()
    desk.config.write_text(text[: text.index("hooks:")])
    ran = desk.does("list")
    assert (1, "gateway: the config has no webhooks\n") == (ran.exit_code, ran.stderr)
    with closed_port() as port:
        desk.config.write_text(text.replace(desk.url, f"redis://127.0.0.1:{port}"))
        assert 3 == desk.does("list").exit_code


async def test_an_event_is_shown_with_its_deliveries(desk: Desk) -> None:
    """One that waits, one that is dead, one that was recorded alone; else exit status 1."""
    async with desk.store() as store:
        queue = DeliveryQueue(store, "crm")
        await queue.add([delivery("e1")])
        [claim] = await queue.claim(60_000, 1)
        await queue.failed(claim, Attempts(2, 1_700_000_000_000, "no answer in time"), 60_000)
        await give_up(store, "e1", where="mail")
        await Outbox(store, "gw:").record([event("e2")], are_sampled=False)
    told = await asyncio.to_thread(desk.told, "show", "e1")
    assert json.loads(event("e1")) == told["event"]
    waiting, dead = told["deliveries"]
    assert ("crm", "waiting", 2, "no answer in time") == tuple(waiting.values())[:4]
    assert ("mail", "dead", 13, "status 503") == tuple(dead.values())[:4]

    shown = (await asyncio.to_thread(desk.does, "show", "e1")).stdout
    assert f"id: e1\ntype: user.login\nsubject: {ADA}\n" in shown
    assert "crm: waiting, 2 attempts, the last: no answer in time; due " in shown
    recorded = await asyncio.to_thread(desk.told, "show", "e2")
    assert ("e2", []) == (recorded["event"]["id"], recorded["deliveries"])
    assert 1 == (await asyncio.to_thread(desk.does, "show", "e")).exit_code


async def test_what_others_wrote_to_the_store_writes_nothing_to_the_terminal(desk: Desk) -> None:
    """Control characters of an event or a dead letter are replaced."""
    evil = "\x1b]0;x\x07"
    async with desk.store() as store:
        await give_up(store, "e1", subject=evil, where=f"old{evil}")
    for words in (("list",), ("show", "e1")):
        said = (await asyncio.to_thread(desk.does, *words)).stdout
        assert "\ufffd]0;x\ufffd" in said
        assert not {"\x1b", "\x07"} & set(said)


async def test_a_dead_letter_is_replayed(desk: Desk) -> None:
    """At each endpoint that gave it up, or at one; an audit line names it."""
    async with desk.store() as store:
        await give_up(store, "e1", "e2")
        await give_up(store, "e1", where="mail")
        ran = await asyncio.to_thread(desk.does, "replay", "e1", "--endpoint", "mail")
        assert (0, "1 replayed\n") == (ran.exit_code, ran.stdout)
        [line] = audited(ran)
        assert ("gateway.audit", "hooks.replay", "mail", ["e1"]) == (
            *(line["logger"], line["message"], line["endpoint"], line["events"]),
        )
        assert line["by"]
        assert (["e1"], []) == (await claimed(store, "mail"), await claimed(store))
        assert {"replayed": 1, "kept": 0} == await asyncio.to_thread(desk.told, "replay", "e1")
        assert ["e1"] == await claimed(store)
    ran = await asyncio.to_thread(desk.does, "replay", "e1")
    assert (1, []) == (ran.exit_code, audited(ran))


async def test_gateways_are_told_of_a_replay(desk: Desk) -> None:
    """Those that poll rarely, over REST, look at once; of what is replayed nowhere none is told."""
    async with desk.store() as store:
        await give_up(store, "e1")
    with redis.Redis.from_url(desk.url) as client, client.pubsub() as messages:
        messages.subscribe("gw:invalidate")
        assert "subscribe" == messages.get_message(timeout=20)["type"]
        for _ in range(2):
            await asyncio.to_thread(desk.does, "replay", "e1")
        assert b"hooks crm" == messages.get_message(timeout=20)["data"]
        assert messages.get_message(timeout=0) is None


async def test_all_letters_of_an_endpoint_are_replayed(desk: Desk) -> None:
    """Those of others stay; so do those of an endpoint that the config has no more."""
    names = [f"e{number:03}" for number in range(250)]
    async with desk.store() as store:
        await give_up(store, *names)
        await give_up(store, "other", where="mail")
        await give_up(store, "lost", where="old")
        ran = await asyncio.to_thread(desk.does, "replay", "--all", "--endpoint", "crm")
        assert (0, "250 replayed\n") == (ran.exit_code, ran.stdout)
        assert names == [name for line in audited(ran) for name in line["events"]]
        ran = await asyncio.to_thread(desk.does, "replay", "--all", "--endpoint", "old")
        assert (1, "", []) == (ran.exit_code, ran.stdout, audited(ran))
        assert "1 had to stay" in ran.stderr
        left = [letter.event_id async for letter in DeadLetters(store, "gw:").letters()]
        assert ["other", "lost"] == left


async def test_letters_are_dropped(desk: Desk) -> None:
    """Also those of an endpoint that the config has no more."""
    async with desk.store() as store:
        await give_up(store, "e1", "e2")
        await give_up(store, "lost", where="old")
        ran = await asyncio.to_thread(desk.does, "drop", "e1")
        assert (0, "1 dropped\n", "hooks.drop") == (
            *(ran.exit_code, ran.stdout, audited(ran)[0]["message"]),
        )
        ran = await asyncio.to_thread(desk.does, "drop", "--all", "--endpoint", "old")
        assert (0, "1 dropped\n") == (ran.exit_code, ran.stdout)
        assert ["e2"] == [each.event_id async for each in DeadLetters(store, "gw:").letters()]
        assert [] == await claimed(store)
    assert 1 == (await asyncio.to_thread(desk.does, "drop", "e1")).exit_code


@pytest.mark.parametrize("command", ["replay", "drop"])
@pytest.mark.parametrize("words", [(), ("e1", "--all"), ("--all",)])
def test_letters_must_be_chosen(desk: Desk, command: str, words: tuple[str, ...]) -> None:
    """By an id, or all of one endpoint: exit status 2."""
    assert 2 == desk.does(command, *words).exit_code


@asynccontextmanager
async def receiver(status: int) -> AsyncIterator[tuple[int, list[dict[str, Any]]]]:
    """An endpoint that verifies by the library of Standard Webhooks."""
    heard: list[dict[str, Any]] = []

    async def take(request: web.Request) -> web.Response:
        heard.append(Webhook(SECRET).verify(await request.read(), dict(request.headers)))
        return web.Response(status=status)

    app = web.Application()
    app.router.add_post("/hook", take)
    async with TestServer(app, host="127.0.0.1") as server:
        assert server.port
        yield server.port, heard


@pytest.mark.parametrize(("status", "code"), [(204, 0), (200, 0), (302, 1), (410, 1), (500, 1)])
async def test_an_endpoint_is_tried(desk: Desk, status: int, code: int) -> None:
    """By a signed event that says that it is a test; the exit status says whether it was taken."""
    async with receiver(status) as (port, heard):
        desk.posts_to(port)
        ran = await asyncio.to_thread(desk.does, "test", "crm")
        described = await asyncio.to_thread(desk.does, "test", "crm", "--json")
    assert code == ran.exit_code
    assert f"crm: status {status} in " in ran.stdout
    told = json.loads(described.stdout)
    assert (status, code == 0) == (told["status"], told["is_delivered"])
    assert ({"test": True}, "user.first_login") == (heard[0]["data"], heard[0]["type"])
    assert heard[0]["id"] != heard[1]["id"] == told["event"]


def test_an_endpoint_that_is_not_reached(desk: Desk) -> None:
    """Exit status 3; so where its address is not allowed. One that is not known: 2."""
    with closed_port() as port:
        desk.posts_to(port)
        ran = desk.does("test", "crm")
    assert (3, "gateway: crm was not reached: ClientConnectorError\n") == (
        ran.exit_code,
        ran.stderr,
    )
    desk.posts_to(9, "10.0.0.0/8")
    ran = desk.does("test", "crm", "--json")
    assert 3 == ran.exit_code
    assert json.loads(ran.stdout)["reason"].startswith("refused")
    ran = desk.does("test", "no")
    assert (2, "gateway: no such endpoint; known: crm, mail\n") == (ran.exit_code, ran.stderr)


def test_people_are_marked(desk: Desk) -> None:
    """Each once; a second time all are known. A dry run writes nothing."""
    people = f"# export\n\n{ADA_LISTED}\n{BOB_LISTED}\n{ADA_LISTED.lower()}\n"
    with redis.Redis.from_url(desk.url) as client:
        ran = desk.does("mark", "--dry-run", feed=people)
        assert (0, "2 to mark, 0 known before\n") == (ran.exit_code, ran.stdout)
        assert [] == client.keys("*")
        assert "2 marked, 0 known before\n" == desk.does("mark", "-", feed=people).stdout
        assert b"done" == client.hget(f"gw:first-login:{ADA_LISTED}", "state")
        told = json.loads(desk.does("mark", "--json", feed=people).stdout)
        assert {"marked": 0, "known": 2, "is_dry_run": False} == told
        ran = desk.does("mark", feed=people.replace(BOB_LISTED, "sk_live_secret") + "0x1")
    assert (2, False) == (ran.exit_code, "sk_live" in ran.output)
    assert "line 4: " in ran.stderr


ADA_LISTED = "did:ethr:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
BOB_LISTED = "did:ethr:0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"


def test_a_marked_person_signs_in_for_no_first_time(desk: Desk) -> None:
    """The outbox has no event of a first sign-in then."""
    desk.does("mark", feed=ADA_LISTED)

    async def sign_in(issuer: str) -> bool:
        async with desk.store() as store:
            ends_ms = int(time.time() * 1000) + 60_000
            outbox = Outbox(store, "gw:")
            done = await outbox.sign_in(f"seen:{issuer}", ends_ms, issuer, "e1", b"", event("e1"))
            return done.is_first

    assert not asyncio.run(sign_in(ADA_LISTED))
    assert asyncio.run(sign_in(BOB_LISTED))


def store_found(desk: Desk) -> list[str]:
    """The levels that ``gateway store check`` tells of first logins."""
    words = ["store", "check", "--json", "--config", str(desk.config)]
    told = json.loads(CliRunner().invoke(main, words).stdout)
    return [each["level"] for each in told["findings"] if each["name"] == "first logins"]


def checked(desk: Desk, *words: str) -> tuple[list[tuple[int, str, str]], list[str]]:
    """What ``gateway check`` finds of markers, with line, key and severity; and its notes."""
    ran = CliRunner().invoke(main, ["check", "--json", "--config", str(desk.config), *words])
    told = json.loads(ran.stdout)
    found = [
        (each["line"], each["key"], each["severity"])
        for each in told["findings"]
        if each["code"] == "first-logins-unmarked"
    ]
    assert told["ok"] is not (bool(found) and "--strict" in words)
    return found, told["notes"]


WARNED = [(10, "hooks.endpoints[0]", "warning")]


def test_people_without_markers_are_warned_of(desk: Desk) -> None:
    """
    By both checks, where a webhook hears of first logins, and users are known; not once any is
    marked.
    """
    with redis.Redis.from_url(desk.url) as client:
        assert (["ok"], ([], [])) == (store_found(desk), checked(desk))
        client.set(f"gw:known:{ADA_LISTED}", "sealed")
        assert (["warning"], (WARNED, [])) == (store_found(desk), checked(desk))
        text = desk.config.read_text()
        desk.config.write_text(text.replace("user.first_login", "user.logout"))
        assert ([], ([], [])) == (store_found(desk), checked(desk))
        desk.config.write_text(text)
        desk.does("mark", feed=BOB_LISTED)
        assert (["ok"], ([], [])) == (store_found(desk), checked(desk))


def test_each_person_with_a_session_is_to_have_a_marker(desk: Desk) -> None:
    """Those of others do not count: who signed in since an update is marked, and others are not."""
    with redis.Redis.from_url(desk.url) as client:
        client.hset(f"gw:sessions-of:{ADA_LISTED}", "session", "sealed")
        client.hset("gw:sessions-of:service:job", "session", "sealed")
        client.hset(f"gw:sessions-of:{BOB_LISTED}", "session", "sealed")
        desk.does("mark", feed=BOB_LISTED)
        assert (["warning"], (WARNED, [])) == (store_found(desk), checked(desk))
        ran = CliRunner().invoke(main, ["check", "--config", str(desk.config)])
        assert "gateway.yaml:10: warning: hooks.endpoints[0]: 1 of 2 users" in ran.stderr
        desk.does("mark", feed=ADA_LISTED)
        assert (["ok"], ([], [])) == (store_found(desk), checked(desk))


def test_a_check_fails_by_what_the_store_holds_only_if_it_is_strict(desk: Desk) -> None:
    """And a finding can be ignored, as any other."""
    with redis.Redis.from_url(desk.url) as client:
        client.set(f"gw:known:{ADA_LISTED}", "sealed")
    for words, code in (((), 0), (("--strict",), 1), (("--offline", "--strict"), 0)):
        ran = CliRunner().invoke(main, ["check", "--config", str(desk.config), *SILENCED, *words])
        assert (code, code == 0) == (ran.exit_code, "ok" in ran.stdout.splitlines()[-1]), ran.output
    assert ([], []) == checked(desk, "--ignore", "first-logins-unmarked")


SILENCED = ("--ignore", "checked-without-limit", "--ignore", "secret-in-file")


@pytest.mark.parametrize("manner", ["closed", "silent"])
def test_a_store_that_does_not_answer_is_noted(
    desk: Desk, manner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check succeeds, says what it does not know, and asks nothing where it is told so."""
    if manner == "silent":
        monkeypatch.setattr("gateway.cli.check.ASKED_S", 0.5)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if manner == "silent":
            listener.listen()
        listener.setblocking(False)
        desk = desk._replace(url=f"redis://127.0.0.1:{listener.getsockname()[1]}")
        desk.posts_to(9)
        assert ([], []) == checked(desk, "--offline")
        with pytest.raises({"closed": OSError, "silent": BlockingIOError}[manner], match=r"\d+"):
            listener.accept()
        found, (note,) = checked(desk, "--strict", *SILENCED)
        ran = CliRunner().invoke(main, ["check", "--config", str(desk.config)])
    assert [] == found
    assert f"{desk.config}:10: note: hooks.endpoints[0]: whether people who signed in" in note
    reason = {"closed": "the store was not reached", "silent": "did not answer within 0.5 s"}[
        manner
    ]
    assert reason in note
    assert (0, True) == (ran.exit_code, note in ran.stderr)
