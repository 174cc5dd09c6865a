"""The queue of deliveries, over every kind of store: order, claims, fences, bounds."""

import asyncio

import pytest
from redis.asyncio import Redis

from gateway.hooks.queue import Attempts, Claim, Delivery, DeliveryQueue
from gateway.store.redis import RedisStore

ADA, BOB = "did:ethr:0xAd", "did:ethr:0xB0b"
LEASE_MS = 60_000


@pytest.fixture
def queue(store: RedisStore) -> DeliveryQueue:
    return DeliveryQueue(store, "crm")


def waiting(subject: str, *ids: str) -> list[Delivery]:
    """Return deliveries of a person's events, each of which is its id."""
    return [Delivery(subject, each, each.encode()) for each in ids]


async def claimed(queue: DeliveryQueue, most: int = 10, lease_ms: int = LEASE_MS) -> list[Claim]:
    return await queue.claim(lease_ms, most)


async def test_events_of_one_person_are_claimed_in_order(queue: DeliveryQueue) -> None:
    """One at a time: the next is there when the one before is delivered."""
    assert [True] * 3 == await queue.add(waiting(ADA, "e1", "e2", "e3"))
    heard = []
    while claims := await claimed(queue):
        [claim] = claims
        assert [] == await claimed(queue), "the subject is claimed"
        assert await queue.delivered(claim)
        heard.append(claim.event)
    assert [b"e1", b"e2", b"e3"] == heard


async def test_people_do_not_wait_for_each_other(queue: DeliveryQueue) -> None:
    """The next of each is claimed at one time, as many as are asked for."""
    for number in range(5):
        await queue.add(waiting(f"person{number}", f"a{number}", f"b{number}"))
    first, second = await claimed(queue, 3), await claimed(queue, 10)
    assert (3, 2) == (len(first), len(second))
    assert {f"a{n}".encode() for n in range(5)} == {claim.event for claim in first + second}


async def test_an_event_is_added_once(queue: DeliveryQueue, store: RedisStore) -> None:
    """Also when it is added again, or after it was delivered; another endpoint has its own."""
    await queue.add(waiting(ADA, "e1"))
    assert [True, True] == await queue.add(waiting(ADA, "e1", "e2"))
    [claim] = await claimed(queue)
    await queue.delivered(claim)
    await queue.add(waiting(ADA, "e1"))
    [claim] = await claimed(queue)
    assert b"e2" == claim.event
    await queue.delivered(claim)
    assert [] == await claimed(queue)

    other = DeliveryQueue(store, "mail")
    await other.add(waiting(ADA, "e1"))
    assert [b"e1"] == [claim.event for claim in await claimed(other)]


async def test_a_claim_whose_lease_ended_is_taken_over(queue: DeliveryQueue) -> None:
    """By a higher fence; the one who was late changes nothing."""
    await queue.add(waiting(ADA, "e1", "e2"))
    [late] = await claimed(queue, lease_ms=0)
    [later] = await claimed(queue)
    assert later.fence > late.fence
    assert late.event == later.event

    assert not await queue.delivered(late)
    assert not await queue.failed(late, Attempts(1, 1, "status 500"), 0)
    assert await queue.delivered(later)
    assert not await queue.delivered(later), "a claim ends once"
    assert [b"e2"] == [claim.event for claim in await claimed(queue)]


async def test_a_failed_delivery_waits_with_its_attempts(queue: DeliveryQueue) -> None:
    """It comes again before the later events of its person."""
    await queue.add(waiting(ADA, "e1", "e2"))
    [claim] = await claimed(queue)
    assert Attempts() == claim.attempts
    noted = Attempts(1, 1_700_000_000_000, "no answer in time")
    assert await queue.failed(claim, noted, 60_000)
    assert [] == await claimed(queue), "not due yet"

    await queue.add(waiting(BOB, "e3"))
    assert [b"e3"] == [claim.event for claim in await claimed(queue)]


async def test_a_failed_delivery_that_is_due_comes_again(queue: DeliveryQueue) -> None:
    """With what was noted."""
    await queue.add(waiting(ADA, "e1", "e2"))
    [claim] = await claimed(queue)
    noted = Attempts(1, 1_700_000_000_000, "no answer in time")
    await queue.failed(claim, noted, 0)
    [again] = await claimed(queue)
    assert (b"e1", noted) == (again.event, again.attempts)
    assert again.fence > claim.fence


async def test_a_full_queue_takes_no_more(store: RedisStore) -> None:
    """What waits is kept; there is room again when one was delivered."""
    queue = DeliveryQueue(store, "crm", max_waiting=2)
    assert [True, True, False] == await queue.add(waiting(ADA, "e1", "e2", "e3"))
    [claim] = await claimed(queue)
    await queue.delivered(claim)
    assert [True] == await queue.add(waiting(ADA, "e3"))


async def test_nothing_is_left_of_what_was_delivered(queue: DeliveryQueue, client: Redis) -> None:
    """But the ids, for two days, and the counters."""
    await queue.add([*waiting(ADA, "e1", "e2"), *waiting(BOB, "e3")])
    while claims := await claimed(queue):
        await asyncio.gather(*map(queue.delivered, claims))
    left = set(await client.keys("*"))
    assert {b"gw:hooks:known:{crm}", b"gw:hooks:counters:{crm}"} == left


async def test_subjects_may_hold_each_other(queue: DeliveryQueue) -> None:
    """One that begins as another does is another, whatever follows."""
    subjects = ["a", "a\0", "ab", "a\x01", "", "ä"]
    for subject in subjects:
        await queue.add(waiting(subject, f"id {subject}"))
    claims = await claimed(queue)
    assert sorted(subjects) == sorted(claim.subject for claim in claims)
    for claim in claims:
        assert f"id {claim.subject}".encode() == claim.event
        assert await queue.delivered(claim)
    assert [] == await claimed(queue)


@pytest.mark.parametrize("noted", ["x", "1 2", "-1 2 word", "9" * 5000 + " 1 word"])
async def test_a_forged_note_of_attempts_counts_for_none(
    queue: DeliveryQueue, client: Redis, noted: str | bytes
) -> None:
    """A program that may write to the store does not stop deliveries by it."""
    await queue.add(waiting(ADA, "e1"))
    await client.hset("gw:hooks:attempts:{crm}", "0" * 15 + "1", noted)
    [claim] = await claimed(queue)
    assert (b"e1", Attempts()) == (claim.event, claim.attempts)


async def test_a_forged_subject_is_passed_over(queue: DeliveryQueue, client: Redis) -> None:
    """It is no text; the others are claimed."""
    forged, number = b"\xff\xfe", b"0" * 15 + b"9"
    await client.zadd("gw:hooks:due:{crm}", {forged: 0})
    await client.zadd("gw:hooks:order:{crm}", {b"2:" + forged + b"\0" + number: 0})
    await client.hset("gw:hooks:events:{crm}", number, b"{}")
    await queue.add(waiting(ADA, "e1"))
    assert [b"e1"] == [claim.event for claim in await claimed(queue)]


async def test_a_delivery_whose_event_was_deleted_holds_up_none_behind_it(
    queue: DeliveryQueue, client: Redis
) -> None:
    """Nothing can be sent of it: it is taken away."""
    await queue.add(waiting(ADA, "e1", "e2", "e3"))
    await client.hdel("gw:hooks:events:{crm}", "0" * 15 + "1", "0" * 15 + "2")
    [claim] = await claimed(queue)
    assert b"e3" == claim.event
    await queue.delivered(claim)
    assert 0 == await client.exists("gw:hooks:order:{crm}", "gw:hooks:due:{crm}")
