"""A gateway whose store is reached over the REST API of Upstash."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from click.testing import CliRunner
from redis.asyncio import Redis

from gateway.cli.main import main
from gateway.store.connect import redis_client
from gateway.upstash.server import serving
from tests.fakes.http import fetch
from tests.fakes.servers import eventually, valkey
from tests.fakes.tokens import ALICE
from tests.fakes.upstash import TOKENS
from tests.fakes.world import World, world

pytestmark = pytest.mark.asyncio(loop_scope="module")

OURS = frozenset(("info", "config|resetstat", "hello", "client|setinfo", "acl|setuser", "auth"))
"""Commands of this test, and of the local server when it connects."""

FREE = '  - {name: free, match: {path: "/free/*"}, limits: [], upstream: app}\n'
UNKNOWN = "Cookie: session=" + "A" * 43


class Billed:
    """A world, and its store, which counts commands as Upstash bills them."""

    def __init__(self, around: World, store: Redis) -> None:
        self.around = around
        self._store = store

    async def commands(self, work: Awaitable[object]) -> int:
        """How many commands ``work`` costs, those within scripts and in the background included."""
        await self._store.config_resetstat()
        await work
        counted = -1

        async def is_quiet() -> bool:
            nonlocal counted
            before, counted = counted, await self._counted()
            return before == counted

        await eventually(is_quiet, within_s=20)
        return counted

    async def _counted(self) -> int:
        stats = await self._store.info("commandstats")
        counts = {name.removeprefix("cmdstat_"): of["calls"] for name, of in stats.items()}
        return sum(calls for name, calls in counts.items() if name not in OURS)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def billed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Billed]:
    """One whose store knows all scripts already."""
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        database = stack.enter_context(valkey())
        store = await enter(redis_client(database.url, 2))
        port = await enter(serving(database.url.removeprefix("unix://"), TOKENS, 0))
        url, token = f"upstash+http://127.0.0.1:{port}", f", token: {TOKENS.standard}"
        folder = tmp_path_factory.mktemp("rest")
        around = await enter(world(folder, redis=url, more_redis=token, more_routes=FREE))
        for field in (await around.sign_in(), UNKNOWN):
            await around.get("/free/x", field)
            await _sign_out(around, field)
        yield Billed(around, store)


async def _sign_out(around: World, cookie: str) -> None:
    await fetch(around.port, "DELETE", "/_gateway/session", cookie, "Origin: http://localhost")


async def _costs(billed: Billed) -> dict[str, int]:
    """What each kind of request is billed."""
    around, cookies = billed.around, list[str]()

    async def sign_in() -> None:
        cookies.append(await around.sign_in())

    async def get(field: str, path: str = "/free/x") -> None:
        await around.get(path, field)

    costs = {"a sign-in": await billed.commands(sign_in())}
    cookie, bearer = cookies[0], around.bearer()
    for credential, field in (("session", cookie), ("token", bearer)):
        costs[f"a {credential}, first seen"] = await billed.commands(get(field))
        costs[f"a {credential}, known"] = await billed.commands(get(field))
    costs["a session, unknown"] = await billed.commands(get(UNKNOWN))
    costs["a limited request"] = await billed.commands(get("X: x", "/tight/x"))
    costs["a sign-out"] = await billed.commands(_sign_out(around, cookie))
    return costs


def _documented() -> dict[str, int]:
    """The costs that docs/upstash.md lists, by the kind of request."""
    page = Path("docs/upstash.md").read_text("utf-8")
    rows = re.findall(r"^\| ([a-z, -]+) \| ([0-9]+) \|", page, re.MULTILINE)
    return {of: int(cost) for of, cost in rows}


async def test_what_is_billed(billed: Billed) -> None:
    """
    No more than docs/upstash.md says of each kind of request.

    What ends in the background may be counted with the next request, so of three rounds the least
    counts.
    """
    documented = _documented()
    rounds = [await _costs(billed) for _ in range(3)]

    least = {of: min(costs[of] for costs in rounds) for of in rounds[0]}
    assert documented.keys() == least.keys()
    assert {} == {of: cost for of, cost in least.items() if cost > documented[of]}
    assert 0 < least["a limited request"]


async def test_a_session_works_and_ends(billed: Billed) -> None:
    """As over the Redis protocol."""
    around = billed.around
    cookie = await around.sign_in()

    assert 200 == (await around.get("/free/x", cookie)).status
    await _sign_out(around, cookie)
    assert 401 == (await around.get("/free/x", cookie)).status
    assert 401 == (await around.get("/free/x", UNKNOWN)).status


async def test_a_limit_holds(billed: Billed) -> None:
    """Exactly."""
    statuses = [(await billed.around.get("/tight/y")).status for _ in range(7)]

    assert statuses == sorted(statuses)
    assert {200, 429} == set(statuses)


async def _command(around: World, *words: str) -> str:
    """What a command prints; it succeeds."""
    arguments = [*words, "--config", str(around.gateway.config)]
    result = await asyncio.to_thread(CliRunner().invoke, main, arguments)
    assert 0 == result.exit_code, result.output
    return result.output


async def test_commands_reach_the_store(billed: Billed) -> None:
    """As gateways with this config do, and these hear of it at once."""
    around = billed.around
    cookie = await around.sign_in()

    assert ALICE.issuer in await _command(around, "sessions", "list", "alice@example.com")
    assert "alice@example.com" in await _command(around, "users", "show", ALICE.issuer)
    await _command(around, "roles", "grant", ALICE.issuer, "admin")
    assert "admin" in await _command(around, "roles", "show", ALICE.issuer)
    await _command(around, "api-keys", "create", "nightly", "--owner", "cron")
    assert "nightly" in await _command(around, "api-keys", "list", "--json")
    assert "sealed anew: 1" in await _command(around, "api-keys", "reseal")
    assert "store: upstash+http://127.0.0.1:" in await _command(around, "check")
    await _command(around, "sessions", "revoke", ALICE.issuer)
    assert 401 == (await around.get("/x", cookie)).status
