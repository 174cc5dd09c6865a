"""
A gateway that is killed at each step between a first login and the end of its delivery.

200 logins of one person come at one time, to two gateways of two workers. The first gateway that
comes to the point dies, all its processes at once; then it is started again. CRASH_POINTS=short
tries three of the points, with 40 logins. The table is printed.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import cast

import h11
import orjson
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from gateway.authn.did_token.mint import TokenSigner, signer
from gateway.store.connect import redis_client
from tests.contract.test_outbox import Entries
from tests.fakes import servers, upstream
from tests.fakes.hook_receiver import HookReceiver, receiving
from tests.fakes.hooks import SECRET
from tests.fakes.http import fetch
from tests.fakes.magic import SECRET_KEY, FakeMagic
from tests.fakes.process import GatewayProcess, gateway
from tests.fakes.spawner import Process
from tests.fakes.tokens import minted
from tests.fakes.world import CONFIG, DEFAULTS

IS_SHORT = os.environ.get("CRASH_POINTS") == "short"
LOGINS = 40 if IS_SHORT else 200
DEAD_S, DONE_S = 20.0, 30.0
"""The lease of a claim whose holder died lasts for 6 seconds."""
PATH = "/first"
MORTAL = Path(__file__).parents[1] / "fakes" / "mortal"
STEPS = ("sign in", "read", "queue", "advance", "claim", "running", "send", "done", "end")
POINTS = [f"{step} {when}" for step in STEPS for when in ("before", "after")]
SHORT = ["sign in after", "advance before", "send after"]
TRIED = SHORT if IS_SHORT else POINTS

HOOKS = """
hooks:
  allow_private: [127.0.0.0/8]
  timeout: 1s
  first_login: {{url: "{url}", secret: {secret}}}
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(120),
    pytest.mark.asyncio(loop_scope="module"),
]

_people = count(1)


class Mortal:
    """A gateway that may die, and is started again."""

    def __init__(self, config: str, folder: Path, deaths: Path) -> None:
        folder.mkdir()
        self._config, self._folder = config, folder
        self._launcher = ("env", f"PYTHONPATH={MORTAL}", f"MORTAL_FOLDER={deaths}")
        self._stack = AsyncExitStack()
        self.running: GatewayProcess | None = None

    async def start(self) -> None:
        """Start it; the second time, after its death."""
        await self._stack.aclose()
        starting = gateway(self._config, self._folder, self._launcher)
        self.running = await self._stack.enter_async_context(starting)

    async def stop(self) -> None:
        await self._stack.aclose()

    @property
    def process(self) -> Process:
        assert self.running is not None
        return self.running.process

    @property
    def port(self) -> int:
        assert self.running is not None
        return self.running.port


class Site:
    """Two mortal gateways, their store, and the receiver."""

    def __init__(
        self,
        deaths: Path,
        gateways: list[Mortal],
        magic: FakeMagic,
        receiver: HookReceiver,
        store: Redis,
    ) -> None:
        self.deaths = deaths
        """Where the point is named."""
        self.gateways = gateways
        self.magic = magic
        self.receiver = receiver
        self.store = store

    async def sign_in(self, by: TokenSigner, at: int) -> int:
        """Sign in, at the other gateway where one breaks off; return how often that happened."""
        for number in count():
            token = f"Authorization: Bearer {minted(time.time(), by)}"
            port = self.gateways[(at + number) % 2].port
            with suppress(OSError, AssertionError, h11.RemoteProtocolError):
                answer = await fetch(port, "POST", "/_gateway/session", token)
                assert answer.status == 201
                return number
        raise AssertionError

    async def dead(self) -> Mortal:
        """Wait until one of the gateways has died, and return it."""
        waits = {asyncio.ensure_future(each.process.wait()): each for each in self.gateways}
        done, others = await asyncio.wait(
            waits, timeout=DEAD_S, return_when=asyncio.FIRST_COMPLETED
        )
        for wait in others:
            wait.cancel()
        [first] = done
        return waits[first]

    async def recorded(self, subject: str) -> list[str]:
        """Return the ids of the events of a person in the stream."""
        entries = cast("Entries", await self.store.xrange("hooks"))
        events = [orjson.loads(fields[b"event"]) for _, fields in entries]
        return [event["id"] for event in events if event["subject"] == subject]

    async def marker(self, subject: str) -> dict[bytes, bytes]:
        return cast("dict[bytes, bytes]", await self.store.hgetall(f"first-login:{subject}"))


@asynccontextmanager
async def _site(folder: Path) -> AsyncIterator[Site]:
    magic = FakeMagic()
    async with AsyncExitStack() as stack:
        server = stack.enter_context(servers.valkey())
        app = await stack.enter_async_context(upstream.serving())
        magic_url = await stack.enter_async_context(magic.serving())
        receiver = await stack.enter_async_context(receiving())
        store = await stack.enter_async_context(redis_client(server.url, 2.0))
        more = HOOKS.format(url=receiver.url(PATH), secret=SECRET)
        parts = {**DEFAULTS, "redis": server.url, "workers": "2", "more": more}
        config = CONFIG.format(magic=magic_url, secret_key=SECRET_KEY, app=app.port, **parts)
        gateways = [Mortal(config, folder / name, folder) for name in ("one", "other")]
        for each in gateways:
            stack.push_async_callback(each.stop)
        await asyncio.gather(*(each.start() for each in gateways))
        yield Site(folder, gateways, magic, receiver, store)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    async with _site(tmp_path_factory.mktemp("deaths")) as running:
        yield running


@pytest.mark.parametrize("point", TRIED)
async def test_a_death_loses_nothing_and_makes_nothing_twice(site: Site, point: str) -> None:
    """One event, one delivery that took effect, and the same id on repeats."""
    by = signer(b"death" + next(_people).to_bytes(27, "big"))
    site.magic.add_user(by.issuer, "ada@example.com")
    (site.deaths / "new").write_text(point)
    (site.deaths / "new").rename(site.deaths / "point")
    signing = asyncio.gather(*(site.sign_in(by, at) for at in range(LOGINS)))
    victim = await site.dead()
    broken = sum(await signing)
    taken = site.deaths / "taken"
    assert point == taken.read_text()
    taken.unlink()
    await victim.start()

    def attempts() -> list[str]:
        return [each.id for each in site.receiver.on(PATH) if each.event["subject"] == by.issuer]

    async def is_done() -> bool:
        return (await site.marker(by.issuer)).get(b"state") == b"done"

    await servers.eventually(is_done, within_s=DONE_S)
    [name] = await site.recorded(by.issuer)
    assert {b"state": b"done", b"event": name.encode()} == await site.marker(by.issuer)
    assert {name} == set(attempts())
    assert 1 == site.receiver.effects[PATH, name]
    print(  # noqa: T201 (what the run is for)
        f"{point}: gateway {site.gateways.index(victim) + 1} died, {broken} logins tried again;"
        f" one event, one effect, {len(attempts())} deliveries by one id"
    )
