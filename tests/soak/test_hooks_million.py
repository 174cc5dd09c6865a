"""
A million events for an endpoint that does not answer, and a million more.

The first million is handed on to its queue, and the stream is trimmed. Then that is full, and the
outbox fills: sampled events find no room first, then the others, at last first logins. All bounds
are those of the product; the gateway, the store and curl are real. HOOK_EVENTS=off skips it. The
figures are printed.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from subprocess import PIPE

import pytest
from redis.asyncio import Redis

from gateway.authn.did_token.mint import TokenSigner, signer
from gateway.core.event import Event, EventType
from gateway.hooks.cloud_event import encode
from gateway.hooks.outbox import KEPT, ROOM_OF_FIRST, STREAM, Outbox
from gateway.hooks.queue import MAX_WAITING, keys_of
from gateway.store.connect import redis_client
from gateway.store.redis import RedisStore
from tests.fakes import servers, upstream
from tests.fakes.free_port import free_port
from tests.fakes.hooks import SECRET, SOURCE
from tests.fakes.magic import SECRET_KEY, FakeMagic
from tests.fakes.metrics import figures
from tests.fakes.process import GatewayProcess, gateway
from tests.fakes.tokens import minted
from tests.fakes.world import ADMIN, CONFIG, DEFAULTS

PEOPLE, BATCH = 10_000, 500
AT_ONCE = 200
"""First logins of one moment, while the outbox is filled with them."""
HANDED_ON_S = 1200.0
EVENTS = "[user.first_login, user.login, user.denied]"
HOOKS = """
hooks:
  allow_private: [127.0.0.0/8]
  endpoints:
    - {{name: dead, url: "http://127.0.0.1:{port}/", secret: {secret}, events: {events}}}
"""
DENIED = '  - {name: denied, match: {path: "/denied/*"}, upstream: app, allow: {roles: [admin]}}\n'

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(os.environ.get("HOOK_EVENTS") == "off", reason="HOOK_EVENTS is off"),
]


class Site:
    """A gateway whose endpoint is dead, and its store."""

    def __init__(self, running: GatewayProcess, magic: FakeMagic, store: Redis) -> None:
        self.running = running
        self.magic = magic
        self.store = store
        self.outbox = Outbox(RedisStore(store, "", 30.0), "")
        self._people = iter(range(1, 100))
        self._events = 0

    def person(self) -> TokenSigner:
        """Return a person who has not signed in before."""
        by = signer(b"million" + next(self._people).to_bytes(25, "big"))
        self.magic.add_user(by.issuer, "ada@example.com")
        return by

    async def curl(self, *words: str) -> list[str]:
        """Run curl, and return the head of the answer."""
        command = ("curl", "-si", "--max-time", "20", *words)
        process = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
        out, _ = await process.communicate()
        return out.decode().partition("\r\n\r\n")[0].split("\r\n")

    async def sign_in(self, by: TokenSigner) -> list[str]:
        bearer = f"Authorization: Bearer {minted(time.time(), by)}"
        return await self.curl("-X", "POST", "-H", bearer, f"{self.running.url}/_gateway/session")

    async def is_denied(self, cookie: str) -> None:
        """Ask for what is not allowed: the event of that is one of those that are sampled."""
        [status, *_] = await self.curl("-H", cookie, f"{self.running.url}/denied/x")
        assert status.startswith("HTTP/1.1 403"), status

    async def counted(self, name: str) -> float:
        return (await figures(self.running.admin_port)).get(name, 0.0)

    async def until_counted(self, name: str, least: float) -> None:
        async def is_so() -> bool:
            return await self.counted(name) >= least

        await servers.eventually(is_so, within_s=20)

    async def held(self) -> int:
        return int(await self.store.xlen(STREAM))

    async def has_room(self) -> bool:
        """Whether the gateway has handed enough on."""
        return await self.held() < ROOM_OF_FIRST // 2

    async def queued(self) -> int:
        return int(await self.store.zcard(keys_of("dead")[1]))

    async def memory_mb(self) -> float:
        return float((await self.store.info("memory"))["used_memory"]) / 1e6

    async def record(self, most: int, *, until_held: int | None = None) -> int:
        """Record logins until there is no room, or enough; return how many."""
        done = 0
        while done < most and (until_held is None or await self.held() < until_held):
            batch = [self._login() for _ in range(min(BATCH, most - done))]
            found_room = await self.outbox.record(batch, are_sampled=False)
            done += found_room
            if found_room < len(batch):
                break
        return done

    def _login(self) -> bytes:
        self._events += 1
        data = {"email": "ada@example.com", "phone": None, "ip": "192.0.2.1", "device": "Firefox"}
        subject = f"did:ethr:0x{self._events % PEOPLE:040x}"
        now_ms = int(time.time() * 1000)
        event = Event(f"evt_{self._events:032x}", EventType.LOGIN, subject, now_ms, data)
        return encode(event, SOURCE)

    async def fill_with_first_logins(self) -> int:
        """Sign new people in until the outbox is full, without their logins; return how many."""
        ends_ms, done = int((time.time() + 3600) * 1000), 0
        while (left := ROOM_OF_FIRST - await self.held()) > 0:
            people = [f"did:ethr:0x{done + n:039x}f" for n in range(min(AT_ONCE, left))]
            await asyncio.gather(*(self._first(issuer, ends_ms) for issuer in people))
            done += len(people)
        return done

    async def _first(self, issuer: str, ends_ms: int) -> None:
        event = Event(f"first {issuer}", EventType.FIRST_LOGIN, issuer, 1_700_000_000_000, {})
        first = encode(event, SOURCE)
        await self.outbox.sign_in(f"seen:{issuer}", ends_ms, issuer, event.id, b"", first)


@asynccontextmanager
async def _site(folder: Path) -> AsyncIterator[Site]:
    magic = FakeMagic()
    async with AsyncExitStack() as stack:
        server = stack.enter_context(servers.redis())
        app = await stack.enter_async_context(upstream.serving())
        magic_url = await stack.enter_async_context(magic.serving())
        store = await stack.enter_async_context(redis_client(server.url, 60.0))
        more = HOOKS.format(port=free_port(), secret=SECRET, events=EVENTS)
        parts = {"redis": server.url, "admin": ADMIN, "more": more, "more_routes": DENIED}
        config = CONFIG.format(
            magic=magic_url, secret_key=SECRET_KEY, app=app.port, **{**DEFAULTS, **parts}
        )
        running = await stack.enter_async_context(gateway(config, folder))
        yield Site(running, magic, store)


def _said(text: str, began_s: float, memory_mb: float) -> None:
    print(f"{text}: {time.monotonic() - began_s:.0f} s, Redis {memory_mb:.0f} MB")  # noqa: T201


LOST = 'gateway_hook_events_lost_total{type="%s"}'
RECORDED = 'gateway_hook_events_total{type="%s"}'
REFUSED = "gateway_first_logins_refused_total"


async def test_a_million_events_and_what_finds_no_room_then(tmp_path: Path) -> None:
    """Sampled events go first, and are counted; first logins last, and are never dropped."""
    async with _site(tmp_path) as site:
        known = site.person()
        [status, *fields] = await site.sign_in(known)
        assert status.startswith("HTTP/1.1 201"), status
        [cookie] = [each for each in fields if each.lower().startswith("set-cookie:")]
        cookie = "Cookie: " + cookie.partition(":")[2].partition(";")[0].strip()
        await site.is_denied(cookie)
        await site.until_counted(RECORDED % "user.denied", 1)

        began_s = time.monotonic()
        assert MAX_WAITING == await _handed_on(site)
        held = await site.held()
        _said(
            f"{MAX_WAITING} events recorded and handed on; {held} are left in the stream",
            *(began_s, await site.memory_mb()),
        )
        assert held < 2 * KEPT + 2 * BATCH

        began_s = time.monotonic()
        await site.record(ROOM_OF_FIRST, until_held=ROOM_OF_FIRST // 2)
        await site.is_denied(cookie)
        await site.until_counted(LOST % "user.denied", 1)
        assert 0 == await site.counted(LOST % "user.login")
        _said(f"sampled events are lost at {await site.held()}", began_s, await site.memory_mb())

        await site.record(ROOM_OF_FIRST)
        held = await site.held()
        assert (await site.sign_in(known))[0].startswith("HTTP/1.1 201")
        assert 1 == await site.counted(LOST % "user.login")
        assert (await site.sign_in(site.person()))[0].startswith("HTTP/1.1 201")
        assert 2 == await site.counted(RECORDED % "user.first_login")
        assert held + 1 == await site.held(), "of all this, the first login found room"
        _said(f"logins are lost at {held}, first ones are not", began_s, await site.memory_mb())

        await site.fill_with_first_logins()
        refused = await site.sign_in(site.person())
        print("curl:", refused[0], *(each for each in refused if "etry" in each))  # noqa: T201
        assert refused[0].startswith("HTTP/1.1 503")
        assert any(each.lower().startswith("retry-after:") for each in refused)
        assert not any(each.lower().startswith("set-cookie:") for each in refused)
        assert 1 == await site.counted(REFUSED)
        assert (await site.sign_in(known))[0].startswith("HTTP/1.1 201")
        assert ROOM_OF_FIRST == await site.held()
        _said(f"first logins are refused at {ROOM_OF_FIRST}", began_s, await site.memory_mb())


async def _handed_on(site: Site) -> int:
    """Record a million events beside what the gateway has recorded; wait for the queue to fill."""

    async def is_full() -> bool:
        return await site.queued() >= MAX_WAITING

    left = MAX_WAITING
    while left > 0:
        left -= await site.record(left)
        if left > 0:  # no room until the gateway has handed more on
            await servers.eventually(site.has_room, within_s=HANDED_ON_S)
    await servers.eventually(is_full, within_s=HANDED_ON_S)
    return await site.queued()
