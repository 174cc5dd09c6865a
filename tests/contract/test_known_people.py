"""Markers for people who signed in before, over every kind of store."""

from redis.asyncio import Redis

from gateway.hooks.known_people import mark
from gateway.hooks.outboxes import MARKER
from gateway.store.redis import RedisStore
from tests.fakes.hooks import ADA, BOB


async def test_a_marked_person_is_known(store: RedisStore, client: Redis) -> None:
    """As one whose first sign-in is done; a marker that is there is not changed."""
    await client.hset(f"gw:{MARKER}{BOB}", mapping={"state": "running", "event": "e1"})
    assert 1 == await mark(store, [ADA, BOB])
    assert 0 == await mark(store, [ADA, BOB])
    assert {b"state": b"done", b"event": b""} == await client.hgetall(f"gw:{MARKER}{ADA}")
    assert b"running" == await client.hget(f"gw:{MARKER}{BOB}", "state")


async def test_looking_changes_nothing(store: RedisStore, client: Redis) -> None:
    """It tells how many would be marked, of more than one batch."""
    people = [f"did:ethr:0x{number}" for number in range(450)]
    assert 450 == await mark(store, people, changes_nothing=True)
    assert [] == await client.keys("*")
    assert 450 == await mark(store, people)
    assert 450 == len(await client.keys("*"))
