"""The examples that read the stream of events with a consumer group of their own."""

import asyncio
import os
import shutil
import signal
import sys
from asyncio import StreamReader
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis

from gateway.hooks.outbox import Outbox
from gateway.store.connect import redis_client
from gateway.store.redis import RedisStore
from tests.fakes import servers
from tests.fakes.free_port import free_port
from tests.fakes.hooks import ADA, event

EXAMPLES = Path(__file__).parents[2] / "examples" / "consumers"
READ_S = 60

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with servers.valkey(port=free_port()) as store:
        yield store.url


def python() -> list[str]:
    return [sys.executable, "consume.py"]


def node() -> list[str]:
    """The program that TypeScript's compiler makes: types are checked so."""
    compiler = EXAMPLES / "node" / "node_modules" / "typescript" / "bin" / "tsc"
    if shutil.which("node") is None:
        pytest.skip("needs node")
    if not compiler.exists():
        pytest.skip("run `npm ci` in examples/consumers/node first")
    return ["sh", "-c", f"node {compiler} --outDir build && exec node build/consume.js"]


@asynccontextmanager
async def consuming(command: list[str], folder: Path, url: str) -> AsyncIterator[StreamReader]:
    """Run a program; yields what it prints."""
    variables = {"REDIS_URL": url, "REDIS_PREFIX": "gw:", "ABANDONED_MS": "0"}
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env={**os.environ, **variables},
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout
    try:
        yield process.stdout
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        await process.wait()


async def record(url: str, *names: str) -> None:
    """Record events as a gateway does."""
    async with redis_client(url, 2) as client:
        outbox = Outbox(RedisStore(client, "gw:", 2), "gw:")
        await outbox.record([event(name) for name in names], are_sampled=False)


@pytest.mark.parametrize("program", [python, node], ids=lambda each: each.__name__)
async def test_every_event_is_read(program: Callable[[], list[str]], url: str) -> None:
    """Those of before, those that another of the group took and left, and those that come."""
    command, folder = program(), EXAMPLES / program.__name__
    with redis.Redis.from_url(url) as client:
        client.flushall()
        await record(url, "e1", "e2")
        client.xgroup_create("gw:hooks", "reports", id="0")
        client.xreadgroup("reports", "one that died", {"gw:hooks": ">"}, count=1)
        client.xadd("gw:hooks", {"of": "another program"})
        async with asyncio.timeout(READ_S), consuming(command, folder, url) as printed:
            lines = [await printed.readline() for _ in range(2)]
            await record(url, "e3")
            lines.append(await printed.readline())
            said = [f"user.login {ADA} {name}" for name in ("e1", "e2", "e3")]
            assert said == [line.decode().strip() for line in lines]
            while client.xpending("gw:hooks", "reports")["pending"]:
                await asyncio.sleep(0)
