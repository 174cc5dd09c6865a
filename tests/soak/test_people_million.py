"""
A million people who are signed in, searched by the dashboard in a real ``redis-server``.

A page takes no longer than its patience, the listener answers meanwhile, and the store is asked for
slices of its keys alone. SESSIONS sets another number. The figures are printed.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from redis.asyncio import Redis

from gateway.runtime.people import PAGE
from gateway.store.connect import redis_client
from tests.fakes import servers
from tests.fakes.http import fetch
from tests.fakes.world import ADMIN, world

SESSIONS = int(os.environ.get("SESSIONS", "1000000"))
AT_ONCE = 10_000
PAGE_S = 5.0
"""The patience of a search, and what the last slice takes on a busy machine."""
SCAN_MS = 20.0
"""On average: no other command waits longer for one."""
FILL = """
for at = ARGV[1], ARGV[2] - 1 do
  local session = 'session:' .. string.format('%064d', at)
  local issuer = 'did:ethr:0x' .. string.format('%040d', at)
  redis.call('SET', session, 'x')
  redis.call('HSET', 'sessions-of:' .. issuer, session, ARGV[3] .. ' 1767225600000 sealed')
  local email = 'user' .. string.format('%d', at) .. '@d' .. at % 1000 .. '.example'
  redis.call('ZADD', 'issuers-of:' .. email, ARGV[3], issuer)
end
"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


class Worst:
    """The longest that anything took."""

    def __init__(self) -> None:
        self.took_s = 0.0

    def note(self, began_s: float) -> None:
        """Take another time."""
        self.took_s = max(self.took_s, time.monotonic() - began_s)


async def _fill(client: Redis) -> None:
    ends_ms = int(time.time() + 86_400) * 1000
    for first in range(0, SESSIONS, AT_ONCE):
        last = min(first + AT_ONCE, SESSIONS)
        await client.eval(FILL, 0, str(first), str(last), str(ends_ms))


@asynccontextmanager
async def _probed(port: int) -> AsyncIterator[Worst]:
    """Ask for the health of the gateway all the time."""
    worst = Worst()

    async def ask() -> None:
        while True:
            began_s = time.monotonic()
            await fetch(port, "GET", "/healthz")
            worst.note(began_s)

    asking = asyncio.create_task(ask())
    try:
        yield worst
    finally:
        asking.cancel()
        await asyncio.wait([asking])


async def _pages(port: int, wanted: str, most: int) -> tuple[int, int, bool, Worst]:
    """Search, and go on; how many people, how many pages, whether there are more, and the times."""
    people = pages = 0
    more, worst = "", Worst()
    while pages < most and (more or not pages):
        began_s = time.monotonic()
        answer = await fetch(port, "GET", f"/api/people?q={quote(wanted)}&more={quote(more)}")
        worst.note(began_s)
        assert 200 == answer.status, answer.body
        found = answer.json()
        people, pages, more = people + len(found["people"]), pages + 1, found["more"]
    return people, pages, bool(more), worst


async def test_people_are_found_among_a_million(tmp_path: Path) -> None:
    """By email at once, all of them page by page, those of a domain, and none of another."""
    with servers.redis() as store:
        async with (
            redis_client(store.url, 60) as client,
            world(tmp_path, admin=ADMIN, workers="2", redis=store.url) as around,
        ):
            await _fill(client)
            await client.config_resetstat()
            port, at = around.gateway.admin_port, SESSIONS - 1
            async with _probed(port) as probe:
                for wanted, people, most in (
                    (f"user{at}@d{at % 1000}.example", 1, 1),
                    ("", 3 * PAGE, 3),
                    ("@d7.example", -(-SESSIONS // 1000), 1000),
                    ("@nowhere.example", 0, 1000),
                ):
                    found, pages, more, worst = await _pages(port, wanted, most)
                    print(  # noqa: T201
                        f"{wanted or 'all':>24}: {found} people in {pages} pages,"
                        f" the slowest in {worst.took_s * 1000:.0f} ms"
                    )
                    assert (people, not wanted) == (found, more)
                    assert PAGE_S > worst.took_s
            stats = await client.info("commandstats")
    scans = stats["cmdstat_scan"]
    print(  # noqa: T201
        f"{scans['calls']} SCAN, {scans['usec_per_call'] / 1000:.2f} ms each; the health of the"
        f" gateway was told in {probe.took_s * 1000:.0f} ms at the most"
    )
    assert "cmdstat_keys" not in stats
    assert SCAN_MS > scans["usec_per_call"] / 1000
