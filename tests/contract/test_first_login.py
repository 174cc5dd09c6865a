"""The marker of a first sign-in, over every kind of store: pending, running, done."""

import asyncio

import pytest
from redis.asyncio import Redis

from gateway.hooks.first_login import AT_ONCE, FirstLogins, Holder
from gateway.hooks.outbox import Outbox
from gateway.store.redis import RedisStore
from tests.contract.test_outbox import signed_in
from tests.fakes.hooks import ADA

MARKER = f"gw:first-login:{ADA}"
EVENT = "id t1"


def holder(fence: int, endpoint: str = "crm", event: str = EVENT) -> Holder:
    return Holder(ADA, event, endpoint, fence)


@pytest.fixture
async def first_logins(store: RedisStore) -> FirstLogins:
    """Those of a person who has just signed in; two endpoints hear of it, one is awaited."""
    await signed_in(Outbox(store, "gw:"), "t1")
    return FirstLogins(store, ["crm", "mail"], ["crm"], "host:1")


async def marker(client: Redis) -> dict[str, str]:
    found = await client.hgetall(MARKER)
    return {name.decode(): value.decode() for name, value in found.items()}  # type: ignore[union-attr]


async def test_a_marker_is_done_when_all_have_the_event(
    first_logins: FirstLogins, client: Redis
) -> None:
    """Then nothing but that is left of it, for ever."""
    assert "pending" == (await marker(client))["state"]
    assert await first_logins.note(holder(1), "running", 60_000)
    running = await marker(client)
    assert ("running", "host:1", "1") == (running["state"], running["owner"], running["fence:crm"])
    assert int(running["until"]) > 0
    assert await first_logins.note(holder(1), "done")
    assert "pending" == (await marker(client))["state"], "the other has not"
    assert await first_logins.note(holder(1, "mail"), "running", 60_000)
    assert await first_logins.note(holder(1, "mail"), "done")
    assert {"state": "done", "event": EVENT} == await marker(client)
    assert not await first_logins.note(holder(9), "running", 60_000)
    assert {"state": "done", "event": EVENT} == await marker(client)


async def test_a_late_worker_changes_nothing(first_logins: FirstLogins, client: Redis) -> None:
    """Its fence is not the latest; that of another endpoint has fences of its own."""
    await first_logins.note(holder(1), "running", 60_000)
    await first_logins.note(holder(2), "running", 60_000)
    before = await marker(client)
    for state in ("running", "pending", "done", "dead"):
        assert not await first_logins.note(holder(1), state, 60_000)
    assert before == await marker(client)
    assert await first_logins.note(holder(1, "mail"), "running", 60_000)
    assert await first_logins.note(holder(2), "done")
    assert not await first_logins.note(holder(3), "pending"), "it has the event"


async def test_a_failure_leaves_it_pending(first_logins: FirstLogins, client: Redis) -> None:
    """Without a holder; what was given up may be replayed."""
    await first_logins.note(holder(1), "running", 60_000)
    assert await first_logins.note(holder(1), "pending")
    left = await marker(client)
    assert int(left.pop("since")) > 0
    assert {"state": "pending", "event": EVENT, "fence:crm": "1"} == left
    assert await first_logins.note(holder(2), "dead")
    assert "pending" == (await marker(client))["state"], "the other has not given it up"
    assert await first_logins.note(holder(1, "mail"), "dead")
    assert "dead" == (await marker(client))["state"]
    assert await first_logins.note(holder(3), "running", 60_000)
    assert await first_logins.note(holder(3), "done")
    assert "dead" == (await marker(client))["state"], "the other has given it up"


async def test_a_marker_of_another_event_is_left_alone(
    first_logins: FirstLogins, client: Redis
) -> None:
    """Such as that of a person who was forgotten since, and of one who was marked as known."""
    before = await marker(client)
    assert not await first_logins.note(holder(1, event="id t0"), "done")
    assert before == await marker(client)
    await client.delete(MARKER)
    assert not await first_logins.note(holder(1), "done")
    assert {} == await marker(client)


async def test_what_is_waited_for(first_logins: FirstLogins, store: RedisStore) -> None:
    """The awaited endpoint, for as long as there is a chance; not the others."""
    assert not await first_logins.settled(ADA, within_s=0.05)
    waiting = asyncio.ensure_future(first_logins.settled(ADA, within_s=20))
    assert await FirstLogins(store, ["crm", "mail"], [], "host:1").settled(ADA)
    await first_logins.note(holder(1), "running", 60_000)
    assert not waiting.done()
    await first_logins.note(holder(1), "done")
    assert await waiting
    assert await first_logins.settled("did:ethr:0xB0b"), "there is no marker"


async def test_what_was_given_up_is_not_waited_for(first_logins: FirstLogins) -> None:
    """Until it is tried again."""
    await first_logins.note(holder(1), "dead")
    assert await first_logins.settled(ADA, within_s=20)
    await first_logins.note(holder(2), "running", 60_000)
    assert not await first_logins.settled(ADA, within_s=0.05)


async def test_what_one_endpoint_has_given_up_is_not_settled_by_another(
    first_logins: FirstLogins,
) -> None:
    """Nor is the wait for it begun again by what the other does."""
    await first_logins.note(holder(1, "mail"), "dead")
    assert not await first_logins.settled(ADA, within_s=0.05), "the awaited one has not answered"
    await first_logins.note(holder(1), "dead")
    await first_logins.note(holder(2, "mail"), "running", 60_000)
    await first_logins.note(holder(2, "mail"), "done")
    assert await first_logins.settled(ADA, within_s=20)


async def test_later_sign_ins_do_not_wait(first_logins: FirstLogins, client: Redis) -> None:
    """They are told for a day that it is pending: an endpoint may be down, or gone for ever."""
    now_s, _ = await client.time()
    for ago_s, is_settled in ((30, False), (25 * 3600, True)):
        await client.hset(MARKER, "since", str((now_s - ago_s) * 1000))
        async with asyncio.timeout(10):
            assert is_settled == await first_logins.settled(ADA, within_s=20)


@pytest.mark.parametrize("store_kind", ["fakeredis"], indirect=True)
async def test_few_wait_at_one_time(first_logins: FirstLogins) -> None:
    """Others are told at once how it is."""
    waiting = [
        asyncio.ensure_future(first_logins.settled(ADA, within_s=20)) for _ in range(AT_ONCE)
    ]
    await asyncio.sleep(0)
    assert not await first_logins.settled(ADA, within_s=20)
    await first_logins.note(holder(1), "done")
    assert {True} == set(await asyncio.gather(*waiting))
    assert await first_logins.settled(ADA)
