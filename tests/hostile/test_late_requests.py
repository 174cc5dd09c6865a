"""Hostile requests that do not come to their end, at a gateway with little patience."""

import pytest

from tests.fakes.world import World
from tests.hostile import test_requests as in_time
from tests.hostile.requests import CASES, IDLE_S, LATE, Case

asynchronous = pytest.mark.asyncio(loop_scope="module")

CONFIG_CHANGES = {
    **in_time.CONFIG_CHANGES,
    "timeouts": f"{{head: {IDLE_S}s, body_idle: {IDLE_S}s}}",
}

TOO_LATE = [pytest.param(case, id=case.id) for case in CASES if LATE in case.answers]


@asynchronous
@pytest.mark.parametrize("case", TOO_LATE)
async def test_verdict(case: Case, around: World) -> None:
    """It is answered as the table says, and the app saw what the table says, and no more."""
    await in_time.hold(case, around)


@asynchronous
@pytest.mark.parametrize("case", TOO_LATE)
async def test_verdict_on_single_octets(case: Case, around: World) -> None:
    """However its bytes are cut up, it is the same request."""
    await in_time.hold_in_octets(case, around)


@asynchronous
@pytest.mark.parametrize("case", TOO_LATE)
async def test_verdict_behind_a_request(case: Case, around: World) -> None:
    """What a connection remembers of its last request makes the next one no better."""
    await in_time.hold_behind_a_request(case, around)
