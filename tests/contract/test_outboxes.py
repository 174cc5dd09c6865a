"""Outboxes of persons on a cluster: what a gateway wrote and did not move is moved by another."""

import asyncio
from contextlib import suppress
from typing import cast

import pytest
from redis.asyncio import Redis

from gateway.core.errors import StoreUnavailable
from gateway.core.event import EventType
from gateway.core.ports import Script
from gateway.hooks.cloud_event import decode
from gateway.hooks.outbox import Outbox, SignInRecord
from gateway.hooks.outboxes import REGISTER, SWEPT, TAKE, Outboxes, Rooms
from gateway.store.redis import RedisStore
from tests.contract.test_outbox import ENDS_MS, Entries, signed_in
from tests.fakes.hooks import ADA, BOB, event

ROOMS = Rooms(90, 100)
STREAM, REGISTERED = "gw:hooks", "outboxes:{gw:hooks}"


@pytest.fixture
def outboxes(store: RedisStore) -> Outboxes:
    return Outboxes(store, "gw:", ROOMS)


async def write(client: Redis, outboxes: Outboxes, *events: bytes, issuer: str = ADA) -> None:
    """Write to an outbox as the script of a sign-in does."""
    for each in events:
        await client.xadd(f"gw:{outboxes.of(issuer)}", {"event": each})


async def moved(client: Redis) -> list[str]:
    """Return the ids of events in the stream."""
    entries = cast("Entries", await client.xrange(STREAM))
    return [decode(fields[b"event"]).id for _, fields in entries]


async def registered(client: Redis) -> int:
    return int(await client.zcard(f"gw:{REGISTERED}"))


async def test_events_are_moved_in_order(outboxes: Outboxes, client: Redis) -> None:
    """Nothing is left of the outbox, nor of its registration."""
    assert await outboxes.register("r1", ADA)
    await write(client, outboxes, event("e1"), b"no event", event("e2"))
    await outboxes.move_all([("r1", ADA)])
    assert ["e1", "e2"] == await moved(client)
    assert 0 == await client.exists(f"gw:{outboxes.of(ADA)}")
    assert 0 == await registered(client)


async def test_an_event_is_moved_once(outboxes: Outboxes, client: Redis) -> None:
    """Also where a mover died before it took the event out of the outbox."""
    for _ in range(2):
        await write(client, outboxes, event("e1"))
        await outboxes.move_all([("r1", ADA)])
    assert ["e1"] == await moved(client)


async def test_what_was_left_is_swept_up(outboxes: Outboxes, client: Redis) -> None:
    """A registration stays for as long as its writer may still write."""
    await outboxes.register("r1", ADA)
    await outboxes.register("r2", BOB)
    await write(client, outboxes, event("e1"))
    assert 0 == await outboxes.sweep(), "they are young"
    assert 2 == await outboxes.sweep(left_ms=0)
    assert ["e1"] == await moved(client)
    assert 2 == await registered(client)

    await write(client, outboxes, event("e2", BOB), issuer=BOB)
    assert 2 == await outboxes.sweep(left_ms=0, gone_ms=0)
    assert ["e1", "e2"] == await moved(client)
    assert 0 == await registered(client)


@pytest.mark.parametrize("store_kind", ["fakeredis"], indirect=True)
async def test_what_is_left_behind_many_is_swept_up(store: RedisStore, client: Redis) -> None:
    """Registrations that stay, of writers that may still write, do not hide those behind them."""
    outboxes = Outboxes(store, "gw:", Rooms(900, 1000))
    for number in range(SWEPT):
        await outboxes.register(f"r{number:03}", ADA)
    await outboxes.register("s", BOB)
    await write(client, outboxes, event("e1", BOB), issuer=BOB)
    assert [SWEPT, 1] == [await outboxes.sweep(left_ms=0) for _ in range(2)]
    assert ["e1"] == await moved(client)
    assert SWEPT == await outboxes.sweep(left_ms=0), "it begins anew"


async def test_two_who_sweep_move_an_event_once(outboxes: Outboxes, client: Redis) -> None:
    """At one time."""
    await outboxes.register("r1", ADA)
    await write(client, outboxes, *(event(f"e{number}") for number in range(20)))
    await asyncio.gather(*(outboxes.sweep(left_ms=0, gone_ms=0) for _ in range(4)))
    assert [f"e{number}" for number in range(20)] == await moved(client)


async def test_a_first_sign_in_waits_for_room(store: RedisStore, client: Redis) -> None:
    """Others are left out; and without room there are no more registrations."""
    outboxes = Outboxes(store, "gw:", Rooms(1, 2))
    first = event("e3", kind=EventType.FIRST_LOGIN)
    await outboxes.register("r1", ADA)
    await write(client, outboxes, event("e1"), event("e2"), first)
    await outboxes.move_all([("r1", ADA)])
    assert ["e1", "e3"] == await moved(client)

    await write(client, outboxes, event("e4", kind=EventType.FIRST_LOGIN))
    await outboxes.move_all([("r1", ADA)])
    assert ["e1", "e3"] == await moved(client)
    assert not await outboxes.register("r2", BOB)
    await client.xtrim(STREAM, 0)
    await outboxes.move_all([("r1", ADA)])
    assert ["e4"] == await moved(client)


@pytest.mark.parametrize("store_kind", ["cluster"], indirect=True)
async def test_a_gateway_that_dies_before_it_moves_loses_nothing(
    store: RedisStore, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sign-in stands; another gateway makes its events readable."""
    run = store.run

    def dying(script: Script, *rest: object) -> object:
        if script is TAKE:
            raise StoreUnavailable("died")
        return run(script, *rest)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(store, "run", dying)
        outbox = Outbox(store, "gw:")
        assert (await signed_in(outbox, "t1")).is_first
        await outbox.settle()
    assert [] == await moved(client)
    assert 1 == await Outboxes(store, "gw:", ROOMS).sweep(left_ms=0)
    assert ["first t1", "login t1"] == await moved(client)


@pytest.mark.parametrize("becomes", ["late", "refused"])
@pytest.mark.parametrize("store_kind", ["cluster"], indirect=True)
async def test_who_is_known_waits_for_no_registration(
    store: RedisStore, client: Redis, monkeypatch: pytest.MonkeyPatch, becomes: str
) -> None:
    """Where first sign-ins alone are told. A new person does, and is refused without it."""
    run, known = store.run, asyncio.Event()

    async def slow(script: Script, *rest: object) -> object:
        if script is REGISTER and becomes == "late":
            await known.wait()
        elif script is REGISTER:
            raise StoreUnavailable("the node of registrations is away")
        return await run(script, *rest)  # type: ignore[arg-type]

    async def sign_in(token: str, issuer: str) -> SignInRecord:
        first = event(f"first {token}", issuer, EventType.FIRST_LOGIN)
        return await outbox.sign_in(f"seen:{token}", ENDS_MS, issuer, f"id {token}", b"", first)

    outbox = Outbox(store, "gw:")
    assert (await sign_in("t1", ADA)).is_first
    await outbox.settle()
    with monkeypatch.context() as patch:
        patch.setattr(store, "run", slow)
        assert SignInRecord(is_new=True, is_first=False) == await sign_in("t2", ADA)
        assert SignInRecord(is_new=False, is_first=False) == await sign_in("t2", ADA)
        new = asyncio.ensure_future(sign_in("t3", BOB))
        await asyncio.wait({new}, timeout=0.05)
        assert not (becomes == "late" and new.done())
        assert 0 == await client.exists(f"gw:first-login:{BOB}")
        known.set()
        if becomes == "late":
            assert (await new).is_first
        else:
            with pytest.raises(StoreUnavailable):
                await new
    await outbox.settle()
    assert ["first t1", "first t3"][: 1 + (becomes == "late")] == await moved(client)
    assert 0 == await registered(client)


@pytest.mark.parametrize("store_kind", ["cluster"], indirect=True)
async def test_events_are_moved_when_those_who_caused_them_have_answers(
    store: RedisStore, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of a moment together, and without being asked."""
    with monkeypatch.context() as patch:
        patch.setattr("gateway.hooks.outbox.SOON_S", 3600)
        waiting = Outbox(store, "gw:")
        await signed_in(waiting, "t1")
        await store.add("seen:other", b"1", expires_at_ms=ENDS_MS)  # a round trip, and more
        assert [] == await moved(client)
        await waiting.settle()
        assert ["first t1", "login t1"] == await moved(client)
    await signed_in(Outbox(store, "gw:"), "t2", BOB)
    async with asyncio.timeout(20):
        while len(await moved(client)) < 4 or await registered(client):
            await asyncio.sleep(0.01)


STEPS = (
    "outbox_register",
    "login",
    "outbox_read",
    "outbox_take",
    "outbox_drop",
    "outbox_unregister",
)
POINTS = [f"{step} {when}" for step in STEPS for when in ("before", "after")]


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("is_login_told", [True, False])
@pytest.mark.parametrize("store_kind", ["cluster"], indirect=True)
async def test_a_gateway_that_dies_at_any_step_loses_nothing(
    store: RedisStore,
    client: Redis,
    monkeypatch: pytest.MonkeyPatch,
    point: str,
    *,
    is_login_told: bool,
) -> None:
    """Once another has swept up, marker and event are there, or neither; it is told once."""
    run, (step, _, when), has_died = store.run, point.partition(" "), False

    async def mortal(script: Script, *rest: object) -> object:
        nonlocal has_died
        if has_died or (script.name, when) == (step, "before"):
            has_died = True
            raise StoreUnavailable("died")
        reply = await run(script, *rest)  # type: ignore[arg-type]
        if script.name == step:
            has_died = True
            raise StoreUnavailable("died")
        return reply

    async def sign_in(token: str) -> None:
        outbox, login = Outbox(store, "gw:"), event(f"login {token}") if is_login_told else b""
        first = event("first", kind=EventType.FIRST_LOGIN)
        with suppress(StoreUnavailable):
            await outbox.sign_in(f"seen:{token}", ENDS_MS, ADA, "first", login, first)
        await outbox.settle()

    with monkeypatch.context() as patch:
        patch.setattr(store, "run", mortal)
        await sign_in("t1")
    assert has_died
    await Outboxes(store, "gw:", ROOMS).sweep(left_ms=0)
    is_told = "first" in await moved(client)
    assert is_told is (await client.exists(f"gw:first-login:{ADA}") == 1)
    await sign_in("t2")
    assert 1 == (await moved(client)).count("first")
    await Outboxes(store, "gw:", ROOMS).sweep(left_ms=0, gone_ms=0)
    assert 1 == (await moved(client)).count("first")
    assert [] == await client.keys("gw:outbox*")


@pytest.mark.parametrize("store_kind", ["cluster"], indirect=True)
async def test_a_reader_waits_for_what_was_written_before_it_came(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """People who sign in all the time hold it up no longer."""
    outbox, run, passes = Outbox(store, "gw:"), store.run, 0

    async def busy(script: Script, *rest: object) -> object:
        nonlocal passes
        if script is TAKE and passes < 50:  # it ends, also where the reader waits for all
            passes += 1
            await signed_in(outbox, f"t{passes}", f"{BOB}{passes}")
        return await run(script, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "run", busy)
    await signed_in(outbox, "t0")
    found = [decode(each.event).id for each in (await outbox.unread(100)).events]
    assert ["first t0", "login t0"] == found[:2]
    assert passes < 10
    await outbox.settle()


@pytest.mark.parametrize("store_kind", ["cluster"], indirect=True)
async def test_what_was_written_before_is_read(store: RedisStore) -> None:
    """Also what was written while an earlier move was under way."""
    outbox = Outbox(store, "gw:")
    for number in range(20):
        await signed_in(outbox, f"t{number}", f"{BOB}{number}")
        if number % 4 == 0:
            found = [decode(each.event).id for each in (await outbox.unread(100)).events]
            assert f"login t{number}" in found


async def test_a_registration_that_is_no_text_holds_up_no_other(
    outboxes: Outboxes, client: Redis
) -> None:
    """It is forged, and older than all."""
    await client.zadd(f"gw:{REGISTERED}", {b"\xff\0\xff": 0})
    assert await outboxes.register("r1", ADA)
    await write(client, outboxes, event("e1"))
    await outboxes.sweep(left_ms=0)
    assert ["e1"] == await moved(client)
