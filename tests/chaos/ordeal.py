"""A crowd of people and two gateways, while something is done to their store."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

from tests.chaos.people import CALM_S, PATH, Crowd, crowd, echo
from tests.chaos.report import Cost, cost
from tests.fakes import upstream
from tests.fakes.magic import SECRET_KEY, FakeMagic
from tests.fakes.process import gateway
from tests.fakes.servers import eventually
from tests.fakes.world import CONFIG, DEFAULTS

CHAOS_S = float(os.environ.get("CHAOS_S", "180"))
"""How long one fault is watched, with the time before and after it."""
CALM_WITHIN_S = 60.0
"""Before the fault: how long a busy machine is waited for until a second passes without refusal."""
GATEWAYS = 2
MAX_RECOVERY_S = 10.0
"""From the end of a fault until a second without a refusal begins."""

Act = Callable[[], Awaitable[None]]


class Fault(NamedTuple):
    """What is done to a store, and how it ends."""

    name: str
    strike: Act
    heal: Act
    """For what ends by itself, such as a failover: waits for its end."""
    lasts_s: float = CHAOS_S / 3


async def endure(folder: Path, redis: dict[str, str], fault: Fault) -> None:
    """
    Let people use two gateways before, during and after ``fault``.

    ``redis`` are parts of the config, see `tests.fakes.world.DEFAULTS`. Fails where an answer was
    another's, where a session of before the fault is refused, or where the gateways do not recover.
    """
    magic = FakeMagic()
    async with AsyncExitStack() as stack:
        app = await stack.enter_async_context(upstream.serving())
        app.answers[PATH] = echo
        url = await stack.enter_async_context(magic.serving())
        ports = []
        for number in range(GATEWAYS):
            place = folder / str(number)
            place.mkdir()
            parts = {**DEFAULTS, "redis_timeout": "250ms", **redis}
            config = CONFIG.format(magic=url, secret_key=SECRET_KEY, app=app.port, **parts)
            running = await stack.enter_async_context(gateway(config, place))
            ports.append(running.port)
        people = await stack.enter_async_context(crowd(ports, magic))
        figures = await _watched(people, fault, app)
        _judge(people, await people.all_are_known(), figures)


async def _watched(people: Crowd, fault: Fault, app: upstream.Upstream) -> Cost:
    await asyncio.sleep(CHAOS_S / 6)
    await eventually(lambda: _all_is_well(people), within_s=CALM_WITHIN_S)
    began_s = time.monotonic()
    await fault.strike()
    await _forgetting(app, fault.lasts_s)
    await fault.heal()
    healed_s = time.monotonic()
    await _forgetting(app, max(CHAOS_S / 6, CHAOS_S * 5 / 6 - (healed_s - began_s)))
    figures = cost(fault.name, people.tally, began_s, healed_s)
    print(figures.row, dict(people.tally.statuses(began_s)))  # noqa: T201 (what the run is for)
    return figures


async def _all_is_well(people: Crowd) -> bool:
    """Whether all who asked of late have their answers: a machine that is busy refuses some."""
    return set(people.tally.statuses(time.monotonic() - CALM_S)) == {200}


async def _forgetting(app: upstream.Upstream, for_s: float) -> None:
    """Wait, and keep the memory of this process, which the app shares, from filling up."""
    until_s = time.monotonic() + for_s
    while (left_s := until_s - time.monotonic()) > 0:
        await asyncio.sleep(min(0.2, left_s))
        app.forget()


def _judge(people: Crowd, unknown: list[str], figures: Cost) -> None:
    lost = [text for cookie, text in people.tally.logged_out.items() if cookie in people.cookies]
    assert [] == people.tally.foreign
    assert [] == lost, "logged out"
    assert [] == unknown, "not known after the fault"
    assert set(people.tally.statuses(0)) <= {0, 200, 503}
    assert figures.recovered_s < MAX_RECOVERY_S
