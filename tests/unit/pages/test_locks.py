"""``POST /locks/{name}``."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import fakeredis
import orjson
import pytest

from gateway.core.identity import AuthMethod, Identity, User
from gateway.store import lock
from gateway.store.redis import RedisStore
from tests.fakes.http import Answer
from tests.fakes.pages import Pages, page_services, serving

JSON = "Content-Type: application/json"


def of(owner: str) -> Identity:
    """The identity that an API key of ``owner`` proves."""
    return Identity(User(owner), AuthMethod.API_KEY, "key", 1_800_000_900_000, scopes=("locks",))


SHOP, CRM = of("service:shop"), of("service:crm")


@asynccontextmanager
async def locking() -> AsyncIterator[Pages]:
    """The pages, with a store that runs scripts."""
    store = RedisStore(fakeredis.FakeAsyncRedis(), "gw:", timeout_s=5)
    services = page_services([], "credentials: {api_keys: {}}", store=store)
    try:
        async with serving(services) as pages:
            yield pages
    finally:
        await store.aclose()


async def ask(
    pages: Pages, action: str, *, name: str = "welcome", by: Identity = SHOP, **members: Any
) -> Answer:
    body = orjson.dumps({"action": action, **members})
    return await pages.ask("POST", f"/locks/{name}", JSON, identity=by, body=body)


async def test_a_lock_from_its_beginning_to_its_end() -> None:
    """Acquired, refused to another, renewed, released, and free again with a higher fence."""
    async with locking() as pages:
        first = await ask(pages, "acquire", lease="20s")
        held = first.json()
        assert (201, "welcome", 20) == (first.status, held["name"], held["expires_in_s"])
        ends = datetime.fromisoformat(held["expires_at"])
        assert 0 < ends.timestamp() - time.time() <= 20

        other = await ask(pages, "acquire")
        assert (409, "lock_held", "20") == (other.status, other.code, other.value("Retry-After"))

        mine = {"holder": held["holder"], "fence": held["fence"]}
        renewed = await ask(pages, "renew", lease="1h", **mine)
        assert (200, held["fence"]) == (renewed.status, renewed.json()["fence"])
        assert datetime.fromisoformat(renewed.json()["expires_at"]) > ends

        assert 204 == (await ask(pages, "release", **mine)).status
        again = await ask(pages, "acquire")
        assert 201 == again.status
        assert again.json()["fence"] > held["fence"]
        assert again.json()["holder"] != held["holder"]


@pytest.mark.parametrize("action", ["renew", "release"])
async def test_what_is_not_held(action: str) -> None:
    """412, whether another holds the lock or none does."""
    async with locking() as pages:
        lost = await ask(pages, action, holder="a", fence=7)
        assert (412, "lock_lost") == (lost.status, lost.code)
        fence = (await ask(pages, "acquire", holder="b")).json()["fence"]
        assert 412 == (await ask(pages, action, holder="a", fence=fence)).status
        assert 412 == (await ask(pages, action, holder="b", fence=fence - 1)).status
        assert (await ask(pages, action, holder="b", fence=fence)).status in {200, 204}


async def test_an_acquisition_may_be_repeated() -> None:
    """By the holder that it names."""
    async with locking() as pages:
        first, again = [(await ask(pages, "acquire", holder="run-1")).json() for _ in range(2)]
    assert ("run-1", first["fence"]) == (again["holder"], again["fence"])


async def test_two_owners_do_not_meet() -> None:
    """A name is a lock of its owner's own."""
    async with locking() as pages:
        mine = (await ask(pages, "acquire", holder="a")).json()
        assert 201 == (await ask(pages, "acquire", holder="a", by=CRM)).status
        assert 409 == (await ask(pages, "acquire")).status
        assert 204 == (await ask(pages, "release", holder="a", fence=mine["fence"])).status
        assert 409 == (await ask(pages, "acquire", by=CRM)).status


async def test_a_wait_ends_with_the_release() -> None:
    """The waiter has the lock at once."""
    async with locking() as pages:
        mine = (await ask(pages, "acquire", holder="a")).json()
        waiting = asyncio.create_task(ask(pages, "acquire", wait="10s"))
        assert 201 == (await ask(pages, "acquire", name="other")).status
        await ask(pages, "release", holder="a", fence=mine["fence"])
        async with asyncio.timeout(20):
            answer = await waiting
    assert 201 == answer.status
    assert answer.json()["fence"] > mine["fence"]


async def test_a_wait_has_an_end() -> None:
    """Then it is refused as without."""
    async with locking() as pages:
        await ask(pages, "acquire")
        assert 409 == (await ask(pages, "acquire", wait="20ms")).status


async def test_a_client_that_left_keeps_no_lock() -> None:
    """It would be held by none until its lease ends."""
    async with locking() as pages:
        mine = (await ask(pages, "acquire", holder="a")).json()
        waiting = asyncio.create_task(ask(pages, "acquire", lease="1h", wait="10s"))
        assert 201 == (await ask(pages, "acquire", name="other")).status
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await ask(pages, "release", holder="a", fence=mine["fence"])
        assert 201 == (await ask(pages, "acquire", wait="5s")).status


async def test_too_many_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """429, until one is released or its lease ends; of this owner alone."""
    monkeypatch.setattr(lock.Locks.__init__, "__defaults__", (1,))
    async with locking() as pages:
        await ask(pages, "acquire", lease="10s")
        full = await ask(pages, "acquire", name="other", wait="10s")
        assert (429, "too_many_locks") == (full.status, full.code)
        assert "10" == full.value("Retry-After")
        assert 201 == (await ask(pages, "acquire", name="other", by=CRM)).status


async def test_what_is_refused() -> None:
    """A caller without identity, a name or a body that is none."""
    async with locking() as pages:
        assert 401 == (await pages.ask("POST", "/locks/welcome", JSON, body=b"{}")).status
        assert 400 == (await ask(pages, "acquire", name="a%20b")).status
        assert 400 == (await ask(pages, "steal")).status
        assert 405 == (await pages.ask("GET", "/locks/welcome", identity=SHOP)).status


async def test_there_are_no_locks_without_api_keys() -> None:
    """Nor a page for them."""
    async with serving(page_services([])) as pages:
        assert 404 == (await ask(pages, "acquire")).status
