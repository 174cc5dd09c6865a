"""
Clients that send large heads ahead, behind a request that is not answered: what that takes.

PIPELINED_CONNECTIONS is how many there are.
"""

import asyncio
import os
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.fakes.http import connected
from tests.fakes.upstream import Seen
from tests.fakes.world import World, world

CONNECTIONS = int(os.environ.get("PIPELINED_CONNECTIONS", "1000"))
HEAD_BYTES = 16 * 1024
SENT_AHEAD = 16
QUIET_CHECKS, QUIET_S = 5, 0.005
"""So often in turn the gateway uses less processor time than this in a tenth of a second."""
MAX_BYTES = 12 * HEAD_BYTES
"""
Of resident memory for a connection: one or two heads wait parsed, in four times their bytes, beside
what one read returned, and what any connection takes.
"""

FIRST = b"GET /public/slow HTTP/1.1\r\nHost: x\r\n\r\n"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def head(fields: int) -> bytes:
    """A head that just fits, of so many fields."""
    value = b"v" * ((HEAD_BYTES - 100) // fields - 10)
    lines = b"".join(b"X-%02d: %b\r\n" % (number, value) for number in range(fields))
    return b"GET /public/x HTTP/1.1\r\nHost: x\r\n" + lines + b"\r\n"


@pytest.mark.parametrize("fields", [1, 90])
async def test_what_waits_is_bounded_in_bytes(fields: int, tmp_path: Path) -> None:
    """However many heads a client sends ahead, and of however many fields."""
    answered = asyncio.Event()

    async def hang(_: Seen, __: asyncio.StreamReader, ___: asyncio.StreamWriter) -> None:
        await answered.wait()

    async with (
        world(tmp_path, connections="2000", max="{connections_per_client: 2000}") as around,
        AsyncExitStack() as clients,
    ):
        around.app.streams["/public/slow"] = hang
        before = around.gateway.resident_bytes()
        for _ in range(CONNECTIONS):
            client = await clients.enter_async_context(connected(around.port))
            client.writer.write(FIRST + head(fields) * SENT_AHEAD)
        held = (await _settled_bytes(around) - before) // CONNECTIONS
        print(  # noqa: T201 (the figures of the run)
            f"{CONNECTIONS} connections, each with {SENT_AHEAD} heads of {fields} fields and"
            f" {HEAD_BYTES >> 10} KiB ahead: {held >> 10} KiB of resident memory for each"
        )
        answered.set()
    assert held < MAX_BYTES


async def _settled_bytes(around: World) -> int:
    """Resident memory, as soon as the gateway has nothing more to do."""
    idle = 0
    while idle < QUIET_CHECKS:
        cpu_s = around.gateway.cpu_s()
        await asyncio.sleep(0.1)
        idle = idle + 1 if around.gateway.cpu_s() - cpu_s < QUIET_S else 0
    return around.gateway.resident_bytes()
