"""Ends of sessions and revocations with their events, over every kind of store."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, cast

import pytest
from redis.asyncio import Redis

from gateway.core.errors import StoreUnavailable
from gateway.core.event import Event, EventType, Notice
from gateway.core.identity import AuthMethod, Identity, User
from gateway.core.ports import Script
from gateway.hooks.cloud_event import decode
from gateway.hooks.outbox import Outbox
from gateway.hooks.outboxes import TAKE, Outboxes, Rooms
from gateway.hooks.recorder import EventRecorder, Heard
from gateway.revocation.notice import end_notice, revocation_notice
from gateway.revocation.redis import RedisRevocations
from gateway.sessions.redis import RedisSessions
from gateway.sessions.seal import Sealer
from gateway.store.bus import StoreBus
from gateway.store.redis import RedisStore
from tests.contract.test_outbox import Entries
from tests.fakes.hooks import ADA, SOURCE

SEALER = Sealer([b"k" * 32])
TOLD = frozenset({EventType.LOGOUT, EventType.SESSION_REVOKED})
ODD = ("cert:{a}b", "cert:a}b", "cert:{}a", "https://issuer.example#{x}")
"""Names that have braces, which mean something to a cluster."""


class Gateway(NamedTuple):
    """The parts of a gateway that end sessions, and what was counted of its events."""

    store: RedisStore
    outbox: Outbox
    recorder: EventRecorder
    sessions: RedisSessions
    revocations: RedisRevocations
    recorded: list[EventType]
    lost: list[EventType]

    async def sign_in(self, token: str = "t1") -> tuple[str, str]:
        """Return the cookie and the key of a new session."""
        ends_ms = int((time.time() + 900) * 1000)
        proven_ms = ends_ms - 2_000_000
        identity = Identity(User(ADA), AuthMethod.DID_TOKEN, token, ends_ms, proven_at_ms=proven_ms)
        cookie, made = await self.sessions.create(identity)
        return cookie, str(made.session_key)

    async def is_valid(self, cookie: str) -> bool:
        try:
            return bool(await RedisSessions(self.store, SEALER).find(cookie))
        except Exception as error:
            if isinstance(error, StoreUnavailable):
                raise
            return False

    async def events(self) -> list[Event]:
        return [decode(each.event) for each in (await self.outbox.unread(100)).events]

    async def kinds(self) -> list[EventType]:
        return [event.type for event in await self.events()]


def gateway(store: RedisStore, wanted: frozenset[EventType] = TOLD, room: int = 1000) -> Gateway:
    outbox = Outbox(store, "gw:", room_of_first=room)
    recorded, lost = list[EventType](), list[EventType]()
    heard = Heard(recorded.append, lost.append)
    recorder = EventRecorder(outbox, SOURCE, wanted, heard, endpoints=dict.fromkeys(wanted, "crm"))
    return Gateway(
        store,
        outbox,
        recorder,
        RedisSessions(store, SEALER, sign_ins=recorder, changes=recorder),
        RedisRevocations(store, StoreBus(store), kept_s=60, changes=recorder),
        recorded,
        lost,
    )


def logout(session: str = "s1") -> Notice:
    return Notice(EventType.LOGOUT, ADA, {"session": session})


Run = Callable[[Script, Sequence[str], Sequence[Any]], Awaitable[object]]


async def test_a_session_that_is_ended_is_told_once(store: RedisStore) -> None:
    """Who ends it first tells of it; that another ends it, too, is no event."""
    made = gateway(store)
    cookie, key = await made.sign_in()
    await made.sessions.end(key, ADA, [logout()])
    assert not await made.is_valid(cookie)
    assert [] == await made.sessions.list_for(ADA)
    await made.sessions.end(key, ADA, [end_notice(ADA, "revoked", "s1")])
    [event] = await made.events()
    assert (EventType.LOGOUT, ADA, {"session": "s1"}) == (event.type, event.subject, event.data)
    assert [EventType.LOGOUT] == made.recorded


async def test_of_many_who_end_a_session_one_tells(store: RedisStore) -> None:
    """At one time, over several gateways."""
    gateways = [gateway(store) for _ in range(4)]
    _, key = await gateways[0].sign_in()
    await asyncio.gather(
        *(gateways[number % 4].sessions.end(key, ADA, [logout()]) for number in range(40))
    )
    await asyncio.gather(*(each.outbox.settle() for each in gateways))
    assert [EventType.LOGOUT] == await gateways[0].kinds()


async def test_a_revocation_is_told(store: RedisStore) -> None:
    """With its events in order, and the endpoints that hear of them; each revocation is one."""
    made = gateway(store)
    notices = [revocation_notice(ADA, "signed-out-everywhere", []), logout()]
    epoch_ms = await made.revocations.revoke(ADA, notices)
    assert epoch_ms == await RedisRevocations(store, StoreBus(store), kept_s=60).epoch_ms(ADA)
    await made.revocations.revoke(ADA, notices[:1])
    read = (await made.outbox.unread(9)).events
    assert {frozenset({"crm"})} == {entry.endpoints for entry in read}
    events = [decode(entry.event) for entry in read]
    kinds = [EventType.SESSION_REVOKED, EventType.LOGOUT, EventType.SESSION_REVOKED]
    assert kinds == [event.type for event in events]
    assert {"reason": "signed-out-everywhere", "sessions": 0, "session": None} == events[0].data
    assert 3 == len({event.id for event in events})


@pytest.mark.parametrize("name", ODD)
async def test_a_name_with_braces_is_revoked_and_told(store: RedisStore, name: str) -> None:
    """Its key and its events are in one slot all the same."""
    made = gateway(store)
    assert await made.revocations.revoke(name, [revocation_notice(name, "revoked", [])])
    assert [name] == [event.subject for event in await made.events()]


async def test_without_an_endpoint_a_command_does(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An end is one DEL, and a revocation the script that it was: nothing costs more."""
    made = gateway(store, frozenset({EventType.DENIED}))
    cookie, key = await made.sign_in()
    scripts: list[str] = []
    run = cast("Run", store.run)

    def noted(script: Script, keys: Sequence[str], args: Sequence[Any]) -> Awaitable[object]:
        scripts.append(script.name)
        return run(script, keys, args)

    monkeypatch.setattr(store, "run", noted)
    await made.sessions.end(key, ADA, [logout()])
    await made.revocations.revoke(ADA, [revocation_notice(ADA, "revoked", [])])
    assert ["unlist", "revoke"] == scripts
    assert not await made.is_valid(cookie)
    assert [] == await made.events()


async def test_a_change_and_its_event_are_one_call_of_the_store(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So there is no moment between both in which a gateway could die."""
    made = gateway(store)
    _, key = await made.sign_in()
    calls: list[tuple[str, str]] = []
    run, delete = cast("Run", store.run), store.delete

    def noted(script: Script, keys: Sequence[str], args: Sequence[Any]) -> Awaitable[object]:
        is_told = any(b"specversion" in arg for arg in args if type(arg) is bytes)
        calls.append((script.name, keys[0] if is_told else ""))
        return run(script, keys, args)

    async def deleted(name: str) -> bool:
        calls.append(("del", name))
        return await delete(name)

    monkeypatch.setattr(store, "run", noted)
    monkeypatch.setattr(store, "delete", deleted)
    await made.sessions.end(key, ADA, [logout()])
    await made.revocations.revoke(ADA, [revocation_notice(ADA, "revoked", [])])
    changes = [call for call in calls if call[0] in ("told_end", "told_revoke", "del", "revoke")]
    assert [("told_end", key), ("told_revoke", f"revoked:{ADA}")] == changes


@pytest.mark.parametrize("what", ["end", "revoke"])
async def test_a_change_that_fails_is_not_told(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Neither is there; the next try makes both."""
    made = gateway(store)
    cookie, key = await made.sign_in()
    run = cast("Run", store.run)

    def failing(script: Script, keys: Sequence[str], args: Sequence[Any]) -> Awaitable[object]:
        if not script.name.startswith("told_"):
            return run(script, keys, args)

        async def down() -> object:
            raise StoreUnavailable("down")

        return down()

    async def change() -> None:
        if what == "end":
            await made.sessions.end(key, ADA, [logout()])
        else:
            await made.revocations.revoke(ADA, [logout()])

    with monkeypatch.context() as failed:
        failed.setattr(store, "run", failing)
        with pytest.raises(StoreUnavailable):
            await change()
    assert [] == await made.events()
    assert await made.is_valid(cookie)
    assert [] == made.recorded == made.lost
    await change()
    assert [EventType.LOGOUT] == await made.kinds() == made.recorded


async def test_a_stream_that_is_none_changes_nothing(store: RedisStore, client: Redis) -> None:
    """An event that cannot be written is no reason to make its change without it."""
    made = gateway(store)
    cookie, key = await made.sign_in()
    owner = made.outbox._outboxes.owner_of(key) if made.outbox._outboxes else ""
    outbox = f"gw:{made.outbox._outboxes.of(owner)}" if made.outbox._outboxes else "gw:hooks"
    await client.set(outbox, "no stream")
    with pytest.raises(StoreUnavailable):
        await made.sessions.end(key, ADA, [logout()])
    assert await made.is_valid(cookie)
    await client.delete(outbox)
    await made.sessions.end(key, ADA, [logout()])
    assert not await made.is_valid(cookie)
    assert [EventType.LOGOUT] == await made.kinds()


async def test_a_session_ends_where_its_event_finds_no_room(store: RedisStore) -> None:
    """That is counted: an outbox that is full keeps no one signed in."""
    made = gateway(store, room=0)
    cookie, key = await made.sign_in()
    await made.sessions.end(key, ADA, [logout()])
    assert not await made.is_valid(cookie)
    assert [EventType.LOGOUT] == made.lost
    assert [] == await made.kinds() == made.recorded


@pytest.mark.parametrize("store_kind", ["cluster"], indirect=True)
async def test_what_a_gateway_left_in_the_slot_of_a_session_is_swept_up(
    store: RedisStore, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It died before it moved the event: another does, once."""
    made = gateway(store)
    _, key = await made.sign_in()
    run = cast("Run", store.run)

    def dying(script: Script, keys: Sequence[str], args: Sequence[Any]) -> Awaitable[object]:
        if script is TAKE:
            raise StoreUnavailable("died")
        return run(script, keys, args)

    with monkeypatch.context() as patch:
        patch.setattr(store, "run", dying)
        await made.sessions.end(key, ADA, [logout()])
        await made.outbox.settle()
    assert [] == await client.xrange("gw:hooks")
    others = [Outboxes(store, "gw:", Rooms(900, 1000)) for _ in range(2)]
    await asyncio.gather(*(each.sweep(left_ms=0) for each in others))
    await made.outbox.settle()
    assert 1 == len(cast("Entries", await client.xrange("gw:hooks")))
    assert 0 == await client.exists(f"gw:{others[0].of(others[0].owner_of(key))}")


@pytest.mark.parametrize("store_kind", ["cluster"], indirect=True)
async def test_an_end_does_not_wait_for_the_node_of_the_stream(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event is written with the end, and moved when that node is there again."""
    made = gateway(store)
    cookie, key = await made.sign_in()
    run = cast("Run", store.run)

    def away(script: Script, keys: Sequence[str], args: Sequence[Any]) -> Awaitable[object]:
        if script.name == "outbox_register":
            raise StoreUnavailable("no node serves the slot")
        return run(script, keys, args)

    with monkeypatch.context() as patch:
        patch.setattr(store, "run", away)
        await made.sessions.end(key, ADA, [logout()])
    assert not await made.is_valid(cookie)
    assert [EventType.LOGOUT] == await made.kinds()


@pytest.mark.parametrize("store_kind", ["cluster"], indirect=True)
async def test_an_end_waits_for_no_replica(store: RedisStore) -> None:
    """Those confirm sign-ins alone, and what events pass later."""
    waited: list[str] = []

    class Confirming:
        def run(self, script: Script, keys: Sequence[str], args: Sequence[Any]) -> Awaitable[Any]:
            waited.append(script.name)
            return store.run(script, keys, args)

    outbox = Outbox(store, "gw:", confirming=cast("RedisStore", Confirming()))
    made = gateway(store)
    cookie, key = await made.sign_in()
    recorder = EventRecorder(outbox, SOURCE, TOLD)
    await RedisSessions(store, SEALER, changes=recorder).end(key, ADA, [logout()])
    await outbox.settle()
    assert ["outbox_take"] == waited
    assert not await made.is_valid(cookie)
    assert [EventType.LOGOUT] == await made.kinds()
    await outbox.sign_in("seen:t9", 4_000_000_000_000, ADA, "id", b"event")
    assert {"outbox_register", "login"} < set(waited)
