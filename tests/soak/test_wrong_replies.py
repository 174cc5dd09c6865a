"""
A store whose replies go wrong in every way, again and again, for as long as WRONG_S says.

Prints how requests ended, and how long the slowest took: none waits for ever.
"""

import asyncio
import os
import random
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.fakes.metrics import figures
from tests.fakes.odd_store import WRONG, Manner, nothing, odd_store, right
from tests.fakes.servers import eventually
from tests.fakes.world import ADMIN, World, world

WRONG_S = float(os.environ.get("WRONG_S", "60"))
CLIENTS = 16
TURN_S = 0.3
"""How long a manner lasts."""
ANSWER_S = 15.0
PATHS = ("/public/x", "/optional/x", "/x")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(WRONG_S * 2 + 60)]


async def test_every_request_is_answered(tmp_path: Path) -> None:
    """Whatever is replied; and when the replies are right again, so is the gateway."""
    outcomes: Counter[int] = Counter()
    slowest_s = 0.0
    manners: list[Manner] = [right, nothing, *WRONG.values()]
    async with (
        odd_store("") as odd,
        world(tmp_path, redis=odd.url, redis_timeout="250ms", admin=ADMIN) as around,
    ):
        odd.server_url = around.store.url
        until_s = time.monotonic() + WRONG_S

        async def ask() -> None:
            nonlocal slowest_s
            while time.monotonic() < until_s:
                began_s = time.monotonic()
                async with asyncio.timeout(ANSWER_S):
                    outcomes[(await around.get(random.choice(PATHS), around.bearer())).status] += 1
                slowest_s = max(slowest_s, time.monotonic() - began_s)

        async with asyncio.TaskGroup() as group:
            for _ in range(CLIENTS):
                group.create_task(ask())
            while time.monotonic() < until_s:
                odd.manner = random.choice(manners)
                await asyncio.sleep(TURN_S)
        odd.manner = right
        await eventually(lambda: _signs_in(around), within_s=20)
        wrong = (await figures(around.gateway.admin_port))["gateway_store_wrong_replies_total"]
    print(  # noqa: T201
        f"{outcomes.total()} requests in {WRONG_S:.0f} s: {dict(sorted(outcomes.items()))}; "
        f"slowest {slowest_s * 1000:.0f} ms; wrong replies {wrong:.0f}"
    )
    assert set(outcomes) <= {200, 503}


async def _signs_in(around: World) -> bool:
    return (await around.get("/x", around.bearer())).status == 200
