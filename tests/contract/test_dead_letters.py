"""Dead letters, over every kind of store: kept, read, replayed, dropped, bounded."""

import time
from typing import Any

import pytest
from redis.asyncio import Redis

from gateway.hooks.dead_letters import DeadCounts, DeadLetter, DeadLetters
from gateway.hooks.queue import Attempts, Claim, DeliveryQueue
from gateway.store.redis import RedisStore
from tests.fakes.hooks import ADA, BOB, delivery, endpoint, event

LEASE_MS = 60_000
TRIED = Attempts(13, 1_700_000_000_000, "status 503")


@pytest.fixture
def dead(store: RedisStore) -> DeadLetters:
    return DeadLetters(store, "gw:")


def given_up(name: str, subject: str = ADA) -> Claim:
    """Return the claim of an event whose delivery is given up."""
    return Claim(subject, 1, "1", event(name, subject), Attempts())


async def read(
    dead: DeadLetters, endpoint: str | None = None, event_id: str | None = None
) -> list[DeadLetter]:
    return [letter async for letter in dead.letters(endpoint, event_id)]


async def names(dead: DeadLetters, endpoint: str | None = None) -> list[str]:
    return [letter.event_id for letter in await read(dead, endpoint)]


async def test_a_letter_tells_why_it_is_there(dead: DeadLetters) -> None:
    """And has the bytes of the event."""
    before_ms = time.time() * 1000
    await dead.keep(endpoint("crm"), given_up("e1"), TRIED)
    [letter] = await read(dead)
    assert (event("e1"), "crm", "e1", 13, "status 503") == letter[1:6]
    assert abs(letter.at_ms - before_ms) < 60_000


async def test_letters_are_read_by_endpoint_and_by_event(dead: DeadLetters) -> None:
    """The oldest first."""
    for name in ("e1", "e2"):
        for where in ("crm", "mail"):
            await dead.keep(endpoint(where), given_up(name), TRIED)
    assert ["e1", "e1", "e2", "e2"] == await names(dead)
    assert ["e1", "e2"] == await names(dead, "mail")
    assert ["crm", "mail"] == [letter.endpoint for letter in await read(dead, event_id="e2")]
    assert [] == await read(dead, "crm", "e3")
    assert DeadCounts({"crm": 2, "mail": 2}, {}) == await dead.counts()


async def test_a_delivery_that_is_given_up_again_is_one_letter(dead: DeadLetters) -> None:
    """The worker that kept it may have died before the queue heard of it."""
    await dead.keep(endpoint("crm"), given_up("e1"), TRIED)
    await dead.keep(endpoint("crm"), given_up("e1"), TRIED._replace(made=14))
    [letter] = await read(dead)
    assert 14 == letter.attempts
    assert DeadCounts({"crm": 1}, {}) == await dead.counts()


async def test_above_the_bound_the_oldest_goes_and_is_counted(store: RedisStore) -> None:
    """The newest tell of what is wrong now."""
    dead = DeadLetters(store, "gw:", max_letters=2)
    for name in ("e1", "e2", "e3", "e4"):
        await dead.keep(endpoint("crm"), given_up(name), TRIED)
    assert ["e3", "e4"] == await names(dead)
    assert DeadCounts({"crm": 2}, {"crm": 2}) == await dead.counts()


async def test_a_dropped_letter_is_gone(dead: DeadLetters, client: Redis) -> None:
    """A letter that was replaced since it was read stays."""
    await dead.keep(endpoint("crm"), given_up("e1"), TRIED)
    await dead.keep(endpoint("crm"), given_up("e2"), TRIED)
    letters = await read(dead)
    await dead.keep(endpoint("crm"), given_up("e2"), TRIED)
    assert 1 == await dead.drop(letters)
    assert ["e2"] == await names(dead)
    assert 1 == await dead.drop(await read(dead))
    assert 0 == await dead.drop([])
    assert DeadCounts({}, {}) == await dead.counts()
    assert [] == [key for key in await client.keys("*") if b"places" in key]


async def test_a_replayed_letter_is_delivered_again(dead: DeadLetters, store: RedisStore) -> None:
    """Although its id is known, with the same bytes, and with a day of attempts before it."""
    queue = DeliveryQueue(store, "crm")
    await queue.add([delivery("e1")])
    [claim] = await queue.claim(LEASE_MS, 1)
    await dead.keep(endpoint("crm"), claim, TRIED)
    await queue.delivered(claim)

    assert ["e1"] == [each.event_id for each in await dead.replay(await read(dead), queue)]
    assert [] == await read(dead)
    [again] = await queue.claim(LEASE_MS, 1)
    assert (claim.event, ADA, Attempts()) == (again.event, again.subject, again.attempts)
    assert [] == await dead.replay([], queue)


async def test_what_finds_no_room_stays_a_dead_letter(dead: DeadLetters, store: RedisStore) -> None:
    """The rest is replayed."""
    for name, subject in (("e1", ADA), ("e2", BOB), ("e3", ADA)):
        await dead.keep(endpoint("crm"), given_up(name, subject), TRIED)
    queue = DeliveryQueue(store, "crm", max_waiting=2)
    assert 2 == len(await dead.replay(await read(dead), queue))
    assert ["e3"] == await names(dead)
    assert 2 == len(await queue.claim(LEASE_MS, 9))


async def test_what_is_no_event_has_a_name_of_its_own(dead: DeadLetters, store: RedisStore) -> None:
    """Others may write into the stream: it can be looked at, replayed and dropped."""
    claim = Claim(ADA, 1, "0000000000000007", b"\xff\x00", Attempts())
    await dead.keep(endpoint("crm"), claim, Attempts(0, 0, "no event"))
    [letter] = await read(dead, event_id="unreadable-0000000000000007")
    assert (b"\xff\x00", 0, "no event") == (letter.event, letter.attempts, letter.last)
    assert [letter] == await dead.replay([letter], DeliveryQueue(store, "crm"))


async def test_more_letters_than_one_page(dead: DeadLetters) -> None:
    """Each is read once."""
    expected = [f"e{number:03}" for number in range(450)]
    for name in expected:
        await dead.keep(endpoint("crm"), given_up(name), TRIED)
    assert expected == await names(dead)


@pytest.mark.parametrize(
    "forged",
    [
        {"x": "y"},
        {"endpoint": "crm"},
        {"endpoint": b"\xff", "id": "e", "attempts": 1, "at": 1},
        {"endpoint": "crm", "id": "e", "attempts": 1, "at": "9" * 15},
        {"endpoint": "crm", "id": "e", "attempts": "9" * 5000, "at": 1},
    ],
)
async def test_what_others_wrote_among_the_letters_is_passed_over(
    store: RedisStore, client: Redis, forged: dict[Any, Any]
) -> None:
    """Letters are read beside it, and it goes when there is no room."""
    dead = DeadLetters(store, "gw:", max_letters=2)
    await client.xadd("gw:hooks:dead", forged)
    await dead.keep(endpoint("crm"), given_up("e1"), TRIED)
    assert ["e1"] == await names(dead)
    await dead.keep(endpoint("crm"), given_up("e2"), TRIED)
    assert ["e1", "e2"] == await names(dead)
    assert DeadCounts({"crm": 2}, {}) == await dead.counts()
    assert 2 == await client.xlen("gw:hooks:dead")
