"""Webhooks over real processes: two gateways of two workers, and a receiver."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest
import pytest_asyncio
from click.testing import CliRunner
from redis.asyncio import Redis

from gateway.authn.did_token.mint import TokenSigner, signer
from gateway.cli.main import main
from gateway.store.connect import redis_client
from tests.fakes.hook_receiver import HookReceiver, receiving
from tests.fakes.hooks import SECRET
from tests.fakes.http import Answer, fetch
from tests.fakes.metrics import figures
from tests.fakes.process import GatewayProcess, gateway
from tests.fakes.timing import until
from tests.fakes.world import ADMIN, World, world

pytestmark = pytest.mark.asyncio(loop_scope="module")

FIRST, ALL, SLOW, AWAITED = "/first", "/all", "/slow", "/awaited"
EVENTS = "[user.first_login, user.login, user.logout, session.revoked, user.denied, limit.exceeded]"
HOOKS = f"""
hooks:
  allow_private: [127.0.0.0/8]
  timeout: 2s
  first_login: {{url: "%s{FIRST}?key=hush", secret: {SECRET}}}
  endpoints:
    - {{name: all, url: "%s{ALL}", secret: {SECRET}, events: {EVENTS}}}
"""
ONE_HOOK = """
hooks:
  allow_private: [127.0.0.0/8]
  timeout: {timeout}
  first_login: {{url: "{url}", secret: {secret}, wait: {wait}}}
"""
DENIED = '  - {name: denied, match: {path: "/denied/*"}, upstream: app, allow: {roles: [admin]}}\n'
SIGN_IN = "/_gateway/session"
SOON_S = 20
PATIENCE = "15s"
"""For the store and Magic, which hundreds of sign-ins ask at one time."""

_people = iter(range(10, 250))


def person() -> TokenSigner:
    """Return a person who has not signed in before."""
    return signer(bytes([next(_people)]) * 32)


class Site:
    """Two gateways with one config, their store, and the receiver."""

    def __init__(
        self, around: World, other: GatewayProcess, receiver: HookReceiver, store: Redis
    ) -> None:
        self.around = around
        self.other = other
        self.receiver = receiver
        self.store = store

    @property
    def ports(self) -> tuple[int, int]:
        return self.around.port, self.other.port

    async def exchange(self, port: int, by: TokenSigner) -> Answer:
        """Exchange a new token of a person for a session."""
        return await fetch(port, "POST", SIGN_IN, self.around.bearer(by))

    async def recorded(self, kind: str, prefix: str = "") -> list[str]:
        """Return the ids of events of a kind in the stream."""
        entries = await self.store.xrange(f"{prefix}hooks")
        events = [orjson.loads(fields[b"event"]) for _, fields in entries or []]  # type: ignore[index]
        return [event["id"] for event in events if event["type"] == kind]

    @asynccontextmanager
    async def alone(
        self,
        folder: Path,
        prefix: str,
        path: str,
        *,
        within: str = "5s",
        wait: str = "false",
        workers: int = 1,
    ) -> AsyncIterator[GatewayProcess]:
        """Run a gateway with one webhook, whose keys in the store are its own."""
        url = self.receiver.url(path)
        hooks = ONE_HOOK.format(url=url, secret=SECRET, timeout=within, wait=wait)
        text = self.around.gateway.config.read_text()
        text = text[: text.index("hooks:")] + hooks.lstrip() + text[text.index("limits:") :]
        text = text.replace("workers: 2", f"workers: {workers}")
        text = text.replace(
            f"timeout: {PATIENCE}}}", f'timeout: {PATIENCE}, prefix: "{prefix}"}}', 1
        )
        await asyncio.to_thread(folder.mkdir)
        async with gateway(text, folder) as running:
            yield running

    async def end_lease(self, prefix: str, subject: str) -> None:
        """Let the wait of a delivery end at once, instead of in seconds."""
        due = f"{prefix}hooks:due:{{first-login}}"
        assert await self.store.zscore(due, subject) is not None
        await self.store.zadd(due, {subject: 0})


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    async with receiving() as receiver:
        base = receiver.url("")
        changes = {"more": HOOKS % (base, base), "workers": "2", "admin": ADMIN}
        changes |= {"redis_timeout": PATIENCE, "magic_timeout": PATIENCE}
        folder = tmp_path_factory.mktemp("one")
        async with world(folder, more_routes=DENIED, **changes) as around:
            config = around.gateway.config.read_text()
            async with gateway(config, tmp_path_factory.mktemp("other")) as other:
                store = redis_client(around.store.url, 2.0)
                yield Site(around, other, receiver, store)
                await store.aclose()


async def test_of_two_hundred_first_logins_one_is_told(site: Site) -> None:
    """Over both gateways, at one time: one event, and one delivery that took effect."""
    by = person()
    answers = await asyncio.gather(
        *(site.exchange(site.ports[number % 2], by) for number in range(200))
    )
    assert {201} == {answer.status for answer in answers}
    [name] = await site.recorded("user.first_login")
    await site.receiver.until(lambda: site.receiver.effects[FIRST, name] > 0)
    [attempt] = [each for each in site.receiver.on(FIRST) if each.event["subject"] == by.issuer]
    assert (name, "application/cloudevents+json") == (attempt.id, attempt.content_type)
    assert "alice@example.com" == attempt.event["data"]["email"]
    assert 200 == len(await site.recorded("user.login"))
    marker = await site.store.hgetall(f"first-login:{by.issuer}")
    assert name.encode() == marker[b"event"]


async def test_what_a_person_does_is_told_in_order(site: Site) -> None:
    """And to an endpoint of first logins, nothing else."""
    by, around = person(), site.around
    cookie = await around.sign_in(by)
    await fetch(around.port, "DELETE", SIGN_IN, cookie, "Origin: http://localhost")
    cookie = await around.sign_in(by)
    out = f"{SIGN_IN}?everywhere=true"
    await fetch(around.port, "DELETE", out, cookie, "Origin: http://localhost")
    expected = ["user.first_login", "user.login", "user.logout", "user.login"]
    expected += ["session.revoked", "user.logout"]
    await site.receiver.until(lambda: len(site.receiver.kinds(ALL, by.issuer)) == len(expected))
    assert expected == site.receiver.kinds(ALL, by.issuer)
    await site.receiver.until(lambda: site.receiver.kinds(FIRST, by.issuer) == expected[:1])


ENDS = {
    "sign-out": ["user.logout"],
    "form": ["user.logout"],
    "everywhere": ["session.revoked signed-out-everywhere", "user.logout"],
    "account-page": ["session.revoked signed-out"],
    "command": ["session.revoked revoked"],
    "command-by-email": ["session.revoked revoked"],
    "command-by-id": ["session.revoked revoked"],
    "command-by-id-alone": ["session.revoked revoked"],
    "admin-api": ["session.revoked revoked"],
}


async def end(site: Site, way: str, by: TokenSigner, cookie: str, session: str) -> None:
    """End the one session of a person."""
    around = site.around
    if way.startswith("command"):
        names = {"command-by-email": [f"{way}@example.com"], "command-by-id-alone": []}
        words = ["sessions", "revoke", *names.get(way, [by.issuer])]
        words += ["--id", session] * ("-id" in way)
        words += ["--config", str(around.gateway.config)]
        ran = await asyncio.to_thread(CliRunner().invoke, main, words)
        assert 0 == ran.exit_code, ran.output
    elif way == "admin-api":
        body, kind = orjson.dumps({"issuer": by.issuer}), "Content-Type: application/json"
        port = around.gateway.admin_port
        assert 200 == (await fetch(port, "POST", "/api/revocations", kind, body=body)).status
    else:
        method, path = {
            "sign-out": ("DELETE", SIGN_IN),
            "form": ("POST", "/_gateway/logout"),
            "everywhere": ("DELETE", f"{SIGN_IN}?everywhere=true"),
            "account-page": ("DELETE", f"/_gateway/sessions/{session}"),
        }[way]
        answer = await fetch(around.port, method, path, cookie, "Origin: http://localhost")
        assert 204 == answer.status


@pytest.mark.parametrize("way", ENDS)
async def test_each_way_to_end_a_session_is_told_once(site: Site, way: str) -> None:
    """By the gateways, which deliver for commands, too; then the session is no more."""
    by, heard, around = person(), site.receiver, site.around
    bearer = around.bearer(by)
    around.magic.add_user(by.issuer, f"{way}@example.com")
    answer = await fetch(around.port, "POST", SIGN_IN, bearer)
    cookie = "Cookie: " + answer.value("Set-Cookie").partition(";")[0]
    listed = (await fetch(around.port, "GET", "/_gateway/sessions", cookie)).json()["sessions"]
    await end(site, way, by, cookie, listed[0]["id"])
    async with asyncio.timeout(SOON_S):  # the other workers may have it cached for a moment
        while (await around.get("/private", cookie)).status != 401:
            await asyncio.sleep(0.01)
    await fetch(around.port, "DELETE", SIGN_IN, cookie, "Origin: http://localhost")
    async with asyncio.timeout(SOON_S):  # a revocation revokes what is proven in its second, too
        while (await site.exchange(around.port, by)).status != 201:
            await asyncio.sleep(0.1)

    def told() -> list[str]:
        events = {each.id: each.event for each in heard.on(ALL)}.values()
        mine = [event for event in events if event["subject"] == by.issuer]
        return [f"{event['type']} {event['data'].get('reason', '')}".strip() for event in mine]

    expected = ["user.first_login", "user.login", *ENDS[way], "user.login"]
    await heard.until(lambda: len(told()) >= len(expected))
    assert expected == told()
    of_it = [each.event for each in heard.on(ALL) if each.event["subject"] == by.issuer]
    ends = [each["data"] for each in of_it if each["type"] in ("user.logout", "session.revoked")]
    assert {1} == {data.get("sessions", 1) for data in ends}
    assert {listed[0]["id"], None} >= {data["session"] for data in ends}


async def test_refusals_are_told_once_a_second(site: Site) -> None:
    """Each tells how many there were since the one before."""
    by, around = person(), site.around
    cookie = await around.sign_in(by)
    statuses = [(await around.get("/denied/x", cookie)).status for _ in range(20)]
    statuses += [(await around.get("/tight/x")).status for _ in range(20)]
    assert {403, 429, 200} >= set(statuses)
    heard = site.receiver

    def told(kind: str) -> list[int]:
        events = [each.event for each in heard.on(ALL) if each.event["type"] == kind]
        return [event["data"]["count"] for event in events]

    await heard.until(lambda: bool(told("user.denied") and told("limit.exceeded")))
    assert by.issuer in {
        each.event["subject"] for each in heard.on(ALL) if each.event["type"] == "user.denied"
    }
    assert len(told("user.denied")) < 20


async def test_a_gateway_that_is_killed_while_it_delivers(site: Site, tmp_path: Path) -> None:
    """Another delivers the same event, by the same id."""
    by, heard, prefix = person(), site.receiver, "killed:"
    heard.held.add(SLOW)
    async with site.alone(tmp_path / "a", prefix, SLOW) as first:
        assert 201 == (await site.exchange(first.port, by)).status
        await heard.until(lambda: len(heard.on(SLOW)) == 1)
        first.process.send_signal(signal.SIGKILL)
        await first.process.wait()
    marker = await site.store.hgetall(f"{prefix}first-login:{by.issuer}")
    assert b"running" == marker[b"state"]
    await heard.release(SLOW)
    await site.end_lease(prefix, by.issuer)
    async with site.alone(tmp_path / "b", prefix, SLOW):
        await heard.until(lambda: len(heard.on(SLOW)) == 2)
        [name] = await site.recorded("user.first_login", prefix)
        assert [name, name] == [each.id for each in heard.on(SLOW)]
        assert 1 == heard.effects[SLOW, name]
    marker = await site.store.hgetall(f"{prefix}first-login:{by.issuer}")
    assert {b"state": b"done", b"event": name.encode()} == marker


async def test_a_receiver_that_works_and_does_not_answer(site: Site, tmp_path: Path) -> None:
    """It gets the event again, by the same id, and so can drop it; the login did not wait."""
    by, heard, prefix, path = person(), site.receiver, "silent:", "/silent"
    heard.held.add(path)
    async with site.alone(tmp_path / "a", prefix, path, within="300ms") as alone:
        assert 201 == (await site.exchange(alone.port, by)).status, "before any answer"
        await alone.said("hook first-login: user.first_login")
        assert not any("hush" in message or path in message for message in alone.messages)
        await heard.release(path)
        await site.end_lease(prefix, by.issuer)
        await heard.until(lambda: len(heard.on(path)) == 2)
    [name] = await site.recorded("user.first_login", prefix)
    assert [name, name] == [each.id for each in heard.on(path)]
    assert 1 == heard.effects[path, name]


async def test_a_login_waits_where_the_config_says_so(site: Site, tmp_path: Path) -> None:
    """The first, and one that comes meanwhile; not a later one."""
    by, heard, prefix = person(), site.receiver, "awaited:"
    heard.held.add(AWAITED)
    async with site.alone(tmp_path / "a", prefix, AWAITED, within="30s", wait="true") as alone:
        waiting = [asyncio.ensure_future(site.exchange(alone.port, by)) for _ in range(2)]
        await heard.until(lambda: len(heard.on(AWAITED)) == 1)
        async with asyncio.timeout(SOON_S):
            while len(await site.store.keys(f"{prefix}seen:*")) < 2:
                await asyncio.sleep(0.01)
        assert not any(each.done() for each in waiting)
        await heard.release(AWAITED)
        answers = await asyncio.gather(*waiting)
        assert [201, 201] == [answer.status for answer in answers]
        assert not any("first_login" in answer.json() for answer in answers)
        heard.held.add(AWAITED)
        assert 201 == (await site.exchange(alone.port, by)).status


async def test_a_reload_and_an_end(site: Site, tmp_path: Path) -> None:
    """A reload swaps endpoints at once; an attempt that is under way at the end is finished."""
    heard, prefix = site.receiver, "swapped:"
    async with site.alone(tmp_path / "a", prefix, "/old") as alone:
        before, after = person(), person()
        await site.exchange(alone.port, before)
        await heard.until(lambda: len(heard.on("/old")) == 1)
        text = alone.config.read_text()
        await asyncio.to_thread(alone.config.write_text, text.replace("/old", "/new"))
        alone.process.send_signal(signal.SIGHUP)
        await alone.said("config reloaded")
        heard.held.add("/new")
        await site.exchange(alone.port, after)
        await heard.until(lambda: len(heard.on("/new")) == 1)
        alone.process.send_signal(signal.SIGTERM)
        await alone.said("draining")
        await heard.release("/new")
        assert 0 == await alone.stop()
    marker = await site.store.hgetall(f"{prefix}first-login:{after.issuer}")
    assert b"done" == marker[b"state"]
    assert [before.issuer] == [each.event["subject"] for each in heard.on("/old")]
    assert [after.issuer] == [each.event["subject"] for each in heard.on("/new")]


@pytest.mark.parametrize("workers", [1, 2])
async def test_people_without_markers_are_warned_of(
    site: Site, tmp_path: Path, workers: int
) -> None:
    """In the log: at the start, and where a reload adds a webhook."""
    prefix, by = f"unmarked-{workers}:", person()
    await site.store.hset(f"{prefix}sessions-of:{by.issuer}", "session", "sealed")
    async with site.alone(tmp_path / "a", prefix, "/unmarked", workers=workers) as alone:

        async def reload(text: str) -> None:
            seen = alone.messages.count("config reloaded")
            await asyncio.to_thread(alone.config.write_text, text)
            alone.process.send_signal(signal.SIGHUP)
            await until(lambda: alone.messages.count("config reloaded") > seen)

        def warned() -> int:
            return sum("hooks: 1 of 1 users with sessions" in message for message in alone.messages)

        await until(lambda: warned() == 1)
        text = alone.config.read_text()
        begin, end = text.index("hooks:"), text.index("limits:")
        await reload(text[:begin] + text[end:])
        await reload(text)
        await until(lambda: warned() == 2)
    assert not await site.store.exists(f"{prefix}first-login:{by.issuer}")


async def test_deliveries_are_counted(site: Site) -> None:
    """On the metrics page of each gateway."""
    await site.exchange(site.around.port, person())
    names = {'gateway_hook_deliveries_total{endpoint="all",outcome="delivered"}'}
    found: set[str] = set()
    async with asyncio.timeout(SOON_S):
        while not names <= found:
            for admin in (site.around.gateway.admin_port, site.other.admin_port):
                found |= set(await figures(admin))
            await asyncio.sleep(0.02)
