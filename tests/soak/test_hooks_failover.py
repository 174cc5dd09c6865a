"""
First logins of 200 people while the store fails over: how many events there are, and what is lost.

The replica has each byte late: by LAG_S with `hooks.confirm`, which waits for it, and by
UNSEEN_LAG_S without. FAILOVER_KINDS is how many kinds of failovers are tried. The figures are
printed.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import NamedTuple, cast

import h11
import orjson
import pytest
from redis.asyncio import Redis

from gateway.authn.did_token.mint import TokenSigner, signer
from gateway.core.errors import StoreUnavailable
from gateway.core.event import EventType
from gateway.hooks import outbox as outbox_module
from gateway.hooks.outbox import LOGIN, MARKER, Outbox
from gateway.store.kinds import server_of
from tests.contract.test_outbox import Entries
from tests.fakes import upstream
from tests.fakes.hook_receiver import HookReceiver, receiving
from tests.fakes.hooks import ADA, SECRET, event
from tests.fakes.http import fetch
from tests.fakes.magic import SECRET_KEY, FakeMagic
from tests.fakes.process import gateway
from tests.fakes.redis_kinds import SENTINEL_PASSWORD, Process
from tests.fakes.servers import eventually
from tests.fakes.tokens import minted
from tests.fakes.world import CONFIG, DEFAULTS
from tests.soak.lagging_group import LaggingGroup, lagging_group

KINDS = int(os.environ.get("FAILOVER_KINDS", "6"))
PEOPLE, STRUCK_AT = 200, 80
"""All of them, and after how many sign-ins the primary is struck."""
SPACING_S = 0.004
PAUSE_S = 0.1
LAG_S, UNSEEN_LAG_S = 0.02, 0.3
WINDOW_S = 1.0
"""
What was answered longer than that before the strike is not lost, nor what was answered longer than
that after sentinels have named another primary: docs/hooks.md says so.
"""
SIGNED_IN_S = 60.0

HOOKS = """
hooks:
  allow_private: [127.0.0.0/8]
  timeout: 500ms
  {confirm}
  first_login: {{url: "{url}", secret: {secret}}}
"""
CONFIRM = "confirm: {replicas: 1, timeout: 150ms, required: true}"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

Strike = Callable[[LaggingGroup, Process], Awaitable[None]]


async def _kill(_: LaggingGroup, primary: Process) -> None:
    primary.kill()


async def _freeze(_: LaggingGroup, primary: Process) -> None:
    primary.pause()


async def _nothing() -> None:
    """Wait for sentinels to see it."""


async def _fail_over(group: LaggingGroup, _: Process) -> None:
    await group.fail_over()


class Kind(NamedTuple):
    """One kind of failover, with `hooks.confirm` or without."""

    name: str
    strike: Strike
    is_confirmed: bool


STRIKES = (("kill -9", _kill), ("SIGSTOP", _freeze), ("SENTINEL FAILOVER", _fail_over))
ALL = [Kind(name, strike, confirmed) for confirmed in (True, False) for name, strike in STRIKES]


@dataclass
class Person:
    """Who signs in until that succeeds."""

    by: TokenSigner
    answered_s: float = 0.0
    """When the sign-in was answered 201, by the monotonic clock."""
    refusals: list[int] = field(default_factory=list)

    async def sign_in(self, ports: Sequence[int]) -> None:
        """Try again, with a new token, where the answer is another."""
        for number in count():
            token = f"Authorization: Bearer {minted(time.time(), self.by)}"
            try:
                port = ports[number % len(ports)]
                status = (await fetch(port, "POST", "/_gateway/session", token)).status
            except (OSError, AssertionError, h11.RemoteProtocolError):
                status = 0
            if status == 201:
                self.answered_s = time.monotonic()
                return
            self.refusals.append(status)
            await asyncio.sleep(PAUSE_S)


class Crowd:
    """All people, two gateways, and the receiver of their events."""

    def __init__(self, magic: FakeMagic, ports: Sequence[int], receiver: HookReceiver) -> None:
        keys = (b"failover" + number.to_bytes(24, "big") for number in range(1, PEOPLE + 1))
        self.people = [Person(signer(key)) for key in keys]
        self._ports = ports
        self.receiver = receiver
        for number, person in enumerate(self.people):
            magic.add_user(person.by.issuer, f"person{number}@example.com")

    async def sign_in(self, people: Sequence[Person], spacing_s: float = 0.0) -> None:
        """Sign all in, one a little after the other."""

        async def later(at: int, person: Person) -> None:
            await asyncio.sleep(at * spacing_s)
            ports = [self._ports[at % 2], self._ports[(at + 1) % 2]]
            await person.sign_in(ports)

        async with asyncio.timeout(SIGNED_IN_S):
            await asyncio.gather(*(later(at, person) for at, person in enumerate(people)))

    async def struck(self, strike_and_heal: Callable[[], Awaitable[None]]) -> float:
        """Sign all in, and strike in between; return when that was."""
        signing = asyncio.ensure_future(self.sign_in(self.people, SPACING_S))

        async def are_enough() -> bool:
            return sum(person.answered_s > 0 for person in self.people) >= STRUCK_AT

        await eventually(are_enough, within_s=SIGNED_IN_S)
        struck_s = time.monotonic()
        await strike_and_heal()
        await signing
        return struck_s

    def heard(self) -> dict[str, set[str]]:
        """Return the ids of events that were received, by person."""
        ids: dict[str, set[str]] = {person.by.issuer: set() for person in self.people}
        for attempt in self.receiver.attempts:
            ids[attempt.event["subject"]].add(attempt.id)
        return ids


async def recorded(client: Redis) -> dict[str, list[str]]:
    """Return the ids of first logins in the stream, by person."""
    ids: dict[str, list[str]] = {}
    for _, fields in cast("Entries", await client.xrange("hooks")):
        found = orjson.loads(fields[b"event"])
        assert found["type"] == EventType.FIRST_LOGIN
        ids.setdefault(found["subject"], []).append(found["id"])
    return ids


async def are_done(client: Redis, crowd: Crowd) -> bool:
    """Whether the marker of each person says that the endpoint has taken the event."""
    keys = [f"{MARKER}{person.by.issuer}" for person in crowd.people]
    return {b"done"} == {await client.hget(key, "state") for key in keys}


@pytest.mark.parametrize("kind", ALL[:KINDS], ids=lambda kind: f"{kind.name}-{kind.is_confirmed}")
async def test_first_logins_in_a_failover(tmp_path: Path, kind: Kind) -> None:
    """Never two events of a person; with confirmation, none of an answered login is lost."""
    lag_s = LAG_S if kind.is_confirmed else UNSEEN_LAG_S
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lagging-")))
        group = await stack.enter_async_context(lagging_group(LaggingGroup(folder), lag_s))
        crowd = await _crowd(stack, tmp_path, group, kind)
        old = group.master()
        clients: list[Redis] = []
        taken_over_s: list[float] = []

        async def strike_and_heal() -> None:
            with group.is_brisk():
                await kind.strike(group, old)
                again = partial(kind.strike, group, old) if kind.strike is _fail_over else _nothing
                clients.append(await group.taken_over(old, again))
            taken_over_s.append(time.monotonic())

        struck_s = await crowd.struck(strike_and_heal)
        client, left_s = clients[0], taken_over_s[0] - struck_s
        stack.push_async_callback(client.aclose)
        there = await recorded(client)
        lost = [person for person in crowd.people if person.by.issuer not in there]
        refused = sum(bool(person.refusals) for person in crowd.people)
        answered_s = [person.answered_s - struck_s for person in lost]
        await crowd.sign_in(lost)
        await crowd.receiver.until(lambda: all(crowd.heard().values()))
        heard, there = crowd.heard(), await recorded(client)
        print(  # noqa: T201 (what the run is for)
            f"{kind.name}, {'with' if kind.is_confirmed else 'without'} hooks.confirm: {PEOPLE}"
            f" people, {refused} refused at first, {len(lost)} events lost"
            + (f" ({min(answered_s):+.2f} to {max(answered_s):+.2f} s)" if lost else "")
            + f", {len(crowd.receiver.attempts) - PEOPLE} repeats, all by the same id"
        )
        await eventually(lambda: are_done(client, crowd), within_s=SIGNED_IN_S)
        assert {1} == {len(ids) for ids in heard.values()}
        assert {issuer: list(ids) for issuer, ids in heard.items()} == there
        assert not (kind.is_confirmed and lost)
        assert all(-WINDOW_S <= each_s <= left_s + WINDOW_S for each_s in answered_s)


async def _crowd(stack: AsyncExitStack, folder: Path, group: LaggingGroup, kind: Kind) -> Crowd:
    magic = FakeMagic()
    app = await stack.enter_async_context(upstream.serving())
    magic_url = await stack.enter_async_context(magic.serving())
    receiver = await stack.enter_async_context(receiving())
    confirm = CONFIRM if kind.is_confirmed else ""
    hooks = HOOKS.format(confirm=confirm, url=receiver.url("/first"), secret=SECRET)
    parts = {
        "redis": group.url,
        "redis_timeout": f'250ms, sentinel: {{password: "{SENTINEL_PASSWORD}"}}',
        "more": hooks,
    }
    config = CONFIG.format(
        magic=magic_url, secret_key=SECRET_KEY, app=app.port, **{**DEFAULTS, **parts}
    )
    ports = []
    for name in ("one", "other"):
        (folder / name).mkdir()
        running = await stack.enter_async_context(gateway(config, folder / name))
        ports.append(running.port)
    return Crowd(magic, ports, receiver)


_ENDLESS = "\nwhile true do end\nlocal is_first ="
"""In place of a line of the script of a sign-in: it goes on until the server dies."""


async def test_a_primary_that_dies_within_the_script(monkeypatch: pytest.MonkeyPatch) -> None:
    """The replica has nothing of it: the same token signs in again, and that is the first time."""
    endless = LOGIN._replace(source=LOGIN.source.replace("\nlocal is_first =", _ENDLESS, 1))
    assert endless != LOGIN
    ends_ms = int((time.time() + 900) * 1000)
    first = event("first", ADA, EventType.FIRST_LOGIN)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lagging-")))
        group = await stack.enter_async_context(lagging_group(LaggingGroup(folder), 0.0))
        options = group.options._replace(timeout_s=5.0, prefix="")
        store = server_of(options).store(lambda: None)
        stack.push_async_callback(store.aclose)
        outbox, old = Outbox(store, ""), group.master()
        with monkeypatch.context() as patched:
            patched.setattr(outbox_module, "LOGIN", endless)
            running = asyncio.ensure_future(outbox.sign_in("t1", ends_ms, ADA, "first", b"", first))
            await eventually(lambda: _is_busy(old), within_s=20)
            old.kill()
            with pytest.raises(StoreUnavailable):
                await running
        with group.is_brisk():
            client = await stack.enter_async_context(await group.taken_over(old, _nothing))
        assert [] == await client.keys()

        async def is_first() -> bool:
            try:
                return (await outbox.sign_in("t1", ends_ms, ADA, "first", b"", first)).is_first
            except StoreUnavailable:
                return False

        await eventually(is_first, within_s=30)
        assert 1 == await client.xlen("hooks")
        assert b"first" == await client.hget(f"{MARKER}{ADA}", "event")


async def _is_busy(server: Process) -> bool:
    """Whether it runs a script: it takes a connection, and answers nothing."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"PING\r\n")
    try:
        async with asyncio.timeout(0.05):
            return await reader.read(5) == b""
    except TimeoutError:
        return True
    finally:
        writer.transport.abort()
