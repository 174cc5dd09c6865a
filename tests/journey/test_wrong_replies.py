"""A store whose replies are not what was asked for: no request waits for ever, none is mixed up."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from gateway.authn.did_token.mint import TokenSigner
from tests.fakes.http import Answer, connected
from tests.fakes.metrics import figures
from tests.fakes.odd_store import (
    WRONG,
    Manner,
    OddStore,
    behind,
    nothing,
    odd_store,
    of_other_keys,
    of_wrong_members,
    right,
)
from tests.fakes.tokens import ALICE, BOB
from tests.fakes.world import ADMIN, World, world

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

ANSWER_S = 5.0
"""No request may take longer; the store's time-out is a tenth of it."""
DRAIN_S = 1.0
WRONG_S = 0.3


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def odd() -> AsyncIterator[OddStore]:
    """The relay before the store."""
    async with odd_store("") as relay:
        yield relay


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def around(odd: OddStore, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A gateway that uses no session without its store."""
    async with world(
        tmp_path_factory.mktemp("odd"),
        redis=odd.url,
        redis_timeout="500ms",
        admin=ADMIN,
        timeouts=f"{{drain: {DRAIN_S:.0f}s}}",
        more_session=", grace: 0s",
    ) as running:
        odd.server_url = running.store.url
        yield running


async def _heal(around: World, odd: OddStore) -> None:
    """Wait until sessions are found again."""
    odd.manner = right
    async with asyncio.timeout(20):
        while (await around.get("/x", _unknown())).status != 401:
            await asyncio.sleep(0.02)


def _unknown() -> str:
    """The cookie of no session, which has to be looked up each time."""
    return f"Cookie: __Host-session={'A' * 43}; session={'A' * 43}"


async def _asked(around: World, path: str, *fields: str) -> Answer:
    async with asyncio.timeout(ANSWER_S):
        return await around.get(path, *fields)


async def _under(manner: Manner, around: World, odd: OddStore) -> list[Answer]:
    """Ask with the sessions of two users, and for two routes without, while ``manner`` holds."""
    await _heal(around, odd)
    cookies = [await around.sign_in(by) for by in (ALICE, BOB)]
    around.app.seen.clear()
    odd.manner = manner
    owners = [(ALICE, "/a"), (BOB, "/b")]
    return await asyncio.gather(
        *(_asked(around, path, cookie) for (_, path), cookie in zip(owners, cookies, strict=True)),
        *(_asked(around, path) for path in ("/public/x", "/optional/x")),
    )


def _mixed_up(around: World) -> list[str]:
    """The paths on which the app saw another user than the one whose cookie was sent there."""
    owners: dict[str, TokenSigner] = {"/a": ALICE, "/b": BOB}
    return [
        seen.target
        for seen in around.app.seen
        if seen.target in owners and seen.values("X-User-Issuer") != [owners[seen.target].issuer]
    ]


@pytest.mark.parametrize("manner", WRONG)
async def test_wrong_replies_are_a_store_that_is_unavailable(
    manner: str, around: World, odd: OddStore
) -> None:
    """503 for sessions, local limits for the rest, and all is well when the replies are."""
    answers = await _under(WRONG[manner], around, odd)

    for answer in answers[:2]:
        assert (503, "store_unavailable") == (answer.status, answer.code)
        assert [] == answer.values("Set-Cookie"), "a session was ended"
    assert [200, 200] == [answer.status for answer in answers[2:]]
    assert [] == _mixed_up(around)
    await _heal(around, odd)
    cookie = await around.sign_in()
    assert 200 == (await _asked(around, "/a", cookie)).status
    assert 200 == (await _asked(around, "/public/x")).status


async def test_a_store_that_is_silent_holds_no_request_up(around: World, odd: OddStore) -> None:
    """Each is answered in time."""
    answers = await _under(nothing, around, odd)

    assert [503, 503, 200, 200] == [answer.status for answer in answers]


async def test_a_value_of_another_key_opens_no_session(around: World, odd: OddStore) -> None:
    """A sealed session is bound to its key: the other user's is of no use."""
    for _ in range(3):
        answers = await _under(of_other_keys, around, odd)

        assert [] == _mixed_up(around)
        assert {200, 401, 503} >= {answer.status for answer in answers[:2]}


async def test_a_session_of_the_wrong_type_is_no_error_of_ours(
    around: World, odd: OddStore
) -> None:
    """503, not 500."""
    [answer, *_] = await _under(of_wrong_members, around, odd)

    assert (503, "store_unavailable") == (answer.status, answer.code)


async def test_wrong_replies_are_counted(around: World, odd: OddStore) -> None:
    """Operators see that it was no time-out."""
    name = "gateway_store_wrong_replies_total"
    before = (await figures(around.gateway.admin_port))[name]

    await _under(behind, around, odd)

    assert before < (await figures(around.gateway.admin_port))[name]


async def test_a_store_that_was_behind_for_a_moment_leaves_nothing_waiting(
    around: World, odd: OddStore
) -> None:
    """Requests that came all the while are answered, and so are those after it."""
    await _heal(around, odd)
    until_s = time.monotonic() + WRONG_S
    odd.manner = behind
    answers = []
    while time.monotonic() < until_s:
        answers += await asyncio.gather(*(_asked(around, "/public/x") for _ in range(8)))
    odd.manner = right
    answers += await asyncio.gather(*(_asked(around, "/public/x") for _ in range(8)))

    assert {200} == {answer.status for answer in answers}


async def test_a_limit_that_was_used_up_stays_so_without_the_store(
    around: World, odd: OddStore
) -> None:
    """The gateway counts on from what the store said last."""
    await _heal(around, odd)
    statuses = [(await _asked(around, "/tight/x")).status for _ in range(6)]
    odd.manner = nothing
    statuses += [(await _asked(around, "/tight/x")).status for _ in range(3)]

    assert [200] * 5 + [429] * 4 == statuses


async def test_sigterm_ends_a_gateway_whose_store_replies_wrongly(
    around: World, odd: OddStore
) -> None:
    """Within the time to drain and five seconds."""
    await _heal(around, odd)
    odd.manner = behind
    async with connected(around.port) as client:
        await client.send(b"GET /public/x HTTP/1.1\r\nHost: localhost\r\n\r\n")
        began_s = time.monotonic()
        around.gateway.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(DRAIN_S + 5):
            status = await around.gateway.process.wait()

    assert 0 == status
    assert time.monotonic() - began_s < DRAIN_S + 5
