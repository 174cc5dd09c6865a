"""What goes on while Redis does not answer, and for how long."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.fakes.http import fetch
from tests.fakes.metrics import figures
from tests.fakes.timing import assert_within, at_best_of
from tests.fakes.tokens import ALICE, BOB
from tests.fakes.world import ADMIN, World, world

GRACE_S = 3


@asynccontextmanager
async def patient(folder: Path, grace: str = f"{GRACE_S}s") -> AsyncIterator[World]:
    """A world whose sessions have that grace."""
    more = f", grace: {grace}"
    async with world(folder, admin=ADMIN, redis_timeout="500ms", more_session=more) as around:
        yield around


async def status(around: World, field: str) -> int:
    """What a request with this credential gets."""
    answer = await around.get("/x", field)
    assert [] == answer.values("Set-Cookie"), "a session was ended"
    if answer.status == 503:
        assert "store_unavailable" == answer.code
        assert answer.values("Retry-After")
    return answer.status


@pytest.mark.parametrize("how", ["gone", "silent"])
@at_best_of(3)
async def test_known_sessions_and_tokens_are_accepted_during_the_grace(
    tmp_path: Path, how: str
) -> None:
    """Whether Redis is gone or silent; after the grace they get 503."""
    async with patient(tmp_path) as around:
        cookie, bearer = await around.sign_in(), around.bearer()
        stranger = await around.sign_in(BOB)
        assert [200, 200] == [await status(around, field) for field in (cookie, bearer)]
        around.store.kill() if how == "gone" else around.store.pause()
        began_s = time.monotonic()

        assert [200, 200] == [await status(around, field) for field in (cookie, bearer)]
        assert 503 == await status(around, stranger)
        answer = await fetch(around.port, "POST", "/_gateway/session", around.bearer())
        assert (503, "store_unavailable") == (answer.status, answer.code)
        assert answer.values("Retry-After")
        await asyncio.sleep(GRACE_S - 1 - (time.monotonic() - began_s))
        statuses = [await status(around, field) for field in (cookie, bearer)]
        assert_within(GRACE_S, time.monotonic() - began_s)
        assert [200, 200] == statuses
        await asyncio.sleep(GRACE_S + 0.5 - (time.monotonic() - began_s))
        assert [503, 503] == [await status(around, field) for field in (cookie, bearer)]
        assert (await figures(around.gateway.admin_port))["gateway_grace_uses_total"] >= 1
        if how == "silent":
            around.store.resume()
            async with asyncio.timeout(20):
                while await status(around, cookie) != 200:
                    await asyncio.sleep(0.02)
            assert 200 == await status(around, stranger)


async def test_a_session_signed_out_during_an_outage_has_no_grace(tmp_path: Path) -> None:
    """The answer says that Redis was not reached; here the session is over all the same."""
    async with patient(tmp_path) as around:
        cookie = await around.sign_in()
        assert 200 == await status(around, cookie)
        around.store.pause()
        page = "/_gateway/session", cookie, "Origin: http://localhost"
        answer = await fetch(around.port, "DELETE", *page)
        assert 503 == answer.status
        assert 503 == await status(around, cookie)


async def test_grace_can_be_switched_off(tmp_path: Path) -> None:
    """Then a session that cannot be looked up gets 503."""
    async with patient(tmp_path, grace="0") as around:
        cookie = await around.sign_in()
        assert 200 == await status(around, cookie)
        around.store.kill()
        await asyncio.sleep(1.1)
        assert 503 == await status(around, cookie)


async def test_revocations_outlive_a_redis_that_comes_back_empty(tmp_path: Path) -> None:
    """A token has no record there that would be gone, too."""
    async with patient(tmp_path) as around:
        bearer, other = around.bearer(), around.bearer(BOB)
        assert [200, 200] == [await status(around, field) for field in (bearer, other)]
        page = "POST", "/api/revocations", "Content-Type: application/json"
        body = f'{{"issuer": "{ALICE.issuer}"}}'.encode()
        assert 200 == (await fetch(around.gateway.admin_port, *page, body=body)).status
        assert 401 == await status(around, bearer)

        around.store.restart()
        async with asyncio.timeout(20):
            while await status(around, other) != 200:
                await asyncio.sleep(0.02)
        await asyncio.sleep(1.1)  # what was looked up before is not fresh any more

        assert 401 == await status(around, bearer)
