"""The outbox, over every kind of store: changes and their events, in one step."""

import asyncio
import time
from contextlib import suppress
from typing import cast

import pytest
from redis.asyncio import Redis

from gateway.core.errors import OutboxFull
from gateway.core.event import EventType
from gateway.hooks.cloud_event import UnreadableEvent, decode
from gateway.hooks.outbox import Outbox, SignInRecord
from gateway.store.redis import RedisStore
from tests.fakes.hooks import ADA, BOB, event
from tests.fakes.servers import REAL

Entries = list[tuple[bytes, dict[bytes, bytes]]]
ENDS_MS = int((time.time() + 3600) * 1000)


@pytest.fixture
def outbox(store: RedisStore) -> Outbox:
    return Outbox(store, "gw:")


async def signed_in(
    outbox: Outbox, token: str, issuer: str = ADA, *, is_wanted: bool = True
) -> SignInRecord:
    """Sign in by a token, whose name is in the ids of its events."""
    first = event(f"first {token}", issuer, EventType.FIRST_LOGIN)
    events = (event(f"login {token}", issuer), first) if is_wanted else (b"", b"")
    return await outbox.sign_in(f"seen:{token}", ENDS_MS, issuer, f"id {token}", *events)


async def events(outbox: Outbox, most: int = 100) -> list[bytes]:
    """Return what was recorded; of events, their ids."""
    return [_name(entry.event) for entry in (await outbox.unread(most)).events]


def _name(recorded: bytes) -> bytes:
    with suppress(UnreadableEvent):
        return decode(recorded).id.encode()
    return recorded


async def test_the_first_sign_in_is_recorded_before_the_login(outbox: Outbox) -> None:
    """A later one is a login alone."""
    assert SignInRecord(is_new=True, is_first=True) == await signed_in(outbox, "t1")
    assert SignInRecord(is_new=True, is_first=False) == await signed_in(outbox, "t2")
    assert [b"first t1", b"login t1", b"login t2"] == await events(outbox)


async def test_a_token_that_was_used_records_nothing(outbox: Outbox) -> None:
    """Another person is not known by it."""
    await signed_in(outbox, "t1")
    before = await events(outbox)
    assert not (await signed_in(outbox, "t1")).is_new
    assert before == await events(outbox)
    assert (await signed_in(outbox, "t2", BOB)).is_first


async def test_of_two_hundred_first_sign_ins_one_is_the_first(store: RedisStore) -> None:
    """By as many gateways as there are; each has its login."""
    gateways = [Outbox(store, "gw:") for _ in range(4)]
    outcomes = await asyncio.gather(
        *(signed_in(gateways[number % 4], f"t{number}") for number in range(200))
    )
    assert 1 == sum(outcome.is_first for outcome in outcomes)
    recorded = await events(gateways[0], 1000)
    assert (1, 200) == tuple(
        sum(event.startswith(kind) for event in recorded) for kind in (b"first", b"login")
    )


async def test_without_an_endpoint_the_marker_is_written(outbox: Outbox, client: Redis) -> None:
    """So that one that is added later makes no person new."""
    assert (await signed_in(outbox, "t1", is_wanted=False)).is_first
    assert not (await signed_in(outbox, "t2")).is_first
    assert [b"login t2"] == await events(outbox)
    marker = await client.hgetall(f"gw:first-login:{ADA}")
    assert {b"state": b"done", b"event": b"id t1"} == marker


async def test_the_mark_ends_with_the_token_and_the_marker_never(
    outbox: Outbox, client: Redis
) -> None:
    """A person who comes back after years is not new."""
    await signed_in(outbox, "t1")
    [mark] = cast("list[str]", await client.keys("gw:seen:t1*"))
    assert ENDS_MS == await client.pexpiretime(mark)
    assert -1 == await client.pexpiretime(f"gw:first-login:{ADA}")


async def test_first_sign_ins_find_room_when_nothing_else_does(store: RedisStore) -> None:
    """Sampled events go first, then the others; at last first sign-ins are refused, and undone."""
    outbox = Outbox(store, "gw:", room_of_first=10)
    assert 5 == await outbox.record([b"denied"] * 7, are_sampled=True)
    assert 4 == await outbox.record([b"logout"] * 7, are_sampled=False)
    assert (await signed_in(outbox, "t1")).is_first
    assert b"first t1" == (await events(outbox))[-1], "its login found no room"
    with pytest.raises(OutboxFull):
        await signed_in(outbox, "t2", BOB)
    assert not (await signed_in(outbox, "t3")).is_first, "known people may still sign in"

    read = await outbox.unread(100)
    assert await Outbox(store, "gw:", kept=1).advance(read)
    assert (await signed_in(outbox, "t2", BOB)).is_first


async def test_entries_are_read_from_the_cursor_on(store: RedisStore) -> None:
    """Each once, by whichever gateway; one that is late does not move the cursor back."""
    first, second = Outbox(store, "gw:"), Outbox(store, "gw:")
    await first.record([b"a", b"b", b"c"], are_sampled=False)
    read, late = await first.unread(2), await second.unread(1)
    assert await first.advance(read)
    assert not await second.advance(late)
    assert [b"c"] == await events(second)


async def test_what_was_handed_on_is_trimmed(store: RedisStore, client: Redis) -> None:
    """But for the latest, which others may want to read."""
    outbox = Outbox(store, "gw:", kept=3)
    await outbox.record([b"%d" % number for number in range(10)], are_sampled=False)
    await outbox.advance(await outbox.unread(8))
    left = [fields[b"event"] for _, fields in cast("Entries", await client.xrange("gw:hooks"))]
    assert [b"5", b"6", b"7", b"8", b"9"] == left
    assert [b"8", b"9"] == await events(outbox)


async def test_what_was_handed_on_is_trimmed_before_a_long_queue(
    store: RedisStore, client: Redis
) -> None:
    """Whatever follows: it is not trimmed. Between as many as are kept and twice that are left."""
    outbox, handed_on = Outbox(store, "gw:", kept=10), 0
    await outbox.record([b"%d" % number for number in range(400)], are_sampled=False)
    while handed_on < 180:
        read = await outbox.unread(8)
        assert await outbox.advance(read)
        handed_on += len(read.events)
        left = await client.xlen("gw:hooks") - (400 - handed_on)
        assert min(handed_on, 10) <= left <= 10 + 10 + 8
        assert [b"%d" % handed_on] == await events(outbox, 1)


@pytest.mark.parametrize("store_kind", [next(iter(REAL))], indirect=True)
async def test_to_hand_on_an_event_does_not_read_what_is_kept(
    store: RedisStore, client: Redis
) -> None:
    """It would hold the store up for milliseconds at each event, also before a long queue."""
    outbox = Outbox(store, "gw:", kept=20)
    for recorded, left in ((30, 20), (1000, 1000)):
        await outbox.record([b"%d" % number for number in range(recorded)], are_sampled=False)
        await outbox.advance(await outbox.unread(30))
        await client.config_resetstat()
        await outbox.record([b"30"], are_sampled=False)
        await outbox.advance(await outbox.unread(30))
        called = await client.info("commandstats")
        assert "cmdstat_xtrim" in called
        assert "cmdstat_xrevrange" not in called
        assert left >= await client.xlen("gw:hooks")


async def test_an_entry_of_another_program_is_read_as_empty(outbox: Outbox, client: Redis) -> None:
    """It is handed on as what it is: no event."""
    await client.xadd("gw:hooks", {"other": "x"})
    assert [b""] == await events(outbox)


async def test_a_mark_that_was_taken_back_is_none(outbox: Outbox) -> None:
    """The same token signs in then; its person is known all the same."""
    await signed_in(outbox, "t1")
    await outbox.take_back("seen:t1", ADA)
    assert SignInRecord(is_new=True, is_first=False) == await signed_in(outbox, "t1")


async def test_what_is_far_too_long_for_an_event_is_passed_over(
    outbox: Outbox, client: Redis
) -> None:
    """It is forged: a worker that reads many of it at once would have no memory left."""
    await client.xadd("gw:hooks", {"event": event("e1") + b" " * 65536})
    await signed_in(outbox, "t1")
    assert [b"", b"first t1", b"login t1"] == await events(outbox)


async def test_an_event_keeps_the_endpoints_that_its_recorder_named(outbox: Outbox) -> None:
    """Also where it is moved from the outbox of a person; an entry without any has none."""
    first = event("first t1", ADA, EventType.FIRST_LOGIN)
    events = event("login t1"), first, "crm", "crm,mail"
    await outbox.sign_in("seen:t1", ENDS_MS, ADA, "id t1", *events)
    await outbox.record([event("e1"), event("e2")], are_sampled=False, endpoints="mail")
    await outbox.record([event("e3")], are_sampled=False)
    named = [sorted(entry.endpoints) for entry in (await outbox.unread(9)).events]
    assert [["crm", "mail"], ["crm"], ["mail"], ["mail"], []] == named
