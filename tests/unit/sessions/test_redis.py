"""Sessions: creating, finding and ending them, in any order of events."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import pytest

from gateway.core.errors import (
    RevokedSession,
    SessionEnded,
    StoreUnavailable,
    TokenAlreadyUsed,
)
from gateway.core.event import Notice
from gateway.core.identity import AuthMethod, Identity, User
from gateway.revocation.epoch import key_of
from gateway.revocation.redis import RedisRevocations
from gateway.sessions.absent import ended
from gateway.sessions.cache import SessionCache
from gateway.sessions.redis import RedisSessions
from gateway.sessions.seal import Sealer, key_name
from gateway.sessions.session import Session, encode
from gateway.store.bus import StoreBus
from tests.fakes.memory import FakeClock
from tests.fakes.session_scripts import SessionScripts
from tests.fakes.store import FakeStore

KEY = b"k" * 32
SEEN = "seen:did:ethr:0xAd:tid"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(clock: FakeClock) -> FakeStore:
    made = FakeStore(clock)
    SessionScripts(made)
    return made


@pytest.fixture
def sessions(store: FakeStore, clock: FakeClock) -> RedisSessions:
    return RedisSessions(store, Sealer([KEY]), clock)


@pytest.fixture
def proven(clock: FakeClock) -> Identity:
    """Ada, by a DID token that ends in a quarter of an hour."""
    ends_ms = int(clock.now_s * 1000) + 900_000
    return Identity(User("did:ethr:0xAd", "ada@example.com"), AuthMethod.DID_TOKEN, "tid", ends_ms)


# --- create -------------------------------------------------------------------------------------


async def test_a_token_is_exchanged_for_a_session(
    sessions: RedisSessions, store: FakeStore, proven: Identity
) -> None:
    """The store holds neither cookie nor user in the clear, and nothing longer than the token."""
    cookie, identity = await sessions.create(proven)

    expected = replace(proven, method=AuthMethod.SESSION, session_key=key_name(cookie))
    assert expected == identity == await sessions.find(cookie)
    assert {key_name(cookie), SEEN} == store.values.keys()
    for value, ends_ms in store.values.values():
        assert b"ada" not in value
        assert cookie.encode() not in value
        assert proven.expires_at_ms == ends_ms


async def test_every_login_makes_a_new_session(sessions: RedisSessions, proven: Identity) -> None:
    """No user can be made to use a cookie that an attacker knows (session fixation)."""
    made = [await sessions.create(replace(proven, token_id=f"tid{i}")) for i in range(3)]

    assert 3 == len({cookie for cookie, _ in made})


async def test_a_token_can_be_exchanged_once(
    sessions: RedisSessions, store: FakeStore, proven: Identity
) -> None:
    """A copied token makes no second session, and leaves none behind."""
    await sessions.create(proven)
    kept = set(store.values)

    with pytest.raises(TokenAlreadyUsed):
        await sessions.create(proven)

    assert kept == set(store.values)


async def test_of_simultaneous_exchanges_one_succeeds(
    sessions: RedisSessions, store: FakeStore, proven: Identity
) -> None:
    """The store decides which."""
    outcomes = await asyncio.gather(
        *(sessions.create(proven) for _ in range(10)), return_exceptions=True
    )

    assert 9 == [type(outcome) for outcome in outcomes].count(TokenAlreadyUsed)
    assert 2 == len(store.values)


async def test_a_failed_exchange_does_not_use_up_the_token(
    sessions: RedisSessions, store: FakeStore, proven: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user can try again with the same token."""

    async def unavailable(*_: object, **__: object) -> bool:
        raise StoreUnavailable

    for step in ("add", "set", "run"):
        with monkeypatch.context() as failing:
            failing.setattr(store, step, unavailable)
            with pytest.raises(StoreUnavailable):
                await sessions.create(proven)
        assert SEEN not in store.values
    store.is_down = True
    with pytest.raises(StoreUnavailable):
        await sessions.create(proven)
    store.is_down = False

    assert await sessions.create(proven)


async def test_a_used_token_is_refused_even_if_the_store_fails_then(
    sessions: RedisSessions, store: FakeStore, proven: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session that is left has no cookie and expires."""
    await sessions.create(proven)

    async def unavailable(_: str) -> bool:
        raise StoreUnavailable

    monkeypatch.setattr(store, "delete", unavailable)
    with pytest.raises(TokenAlreadyUsed):
        await sessions.create(proven)


async def test_a_capped_session_does_not_free_its_token(
    store: FakeStore, clock: FakeClock, proven: Identity
) -> None:
    """A token that outlives its session cannot be exchanged again."""
    sessions = RedisSessions(store, Sealer([KEY]), clock, lifetime_cap_s=60)

    cookie, identity = await sessions.create(proven)

    assert int(clock.now_s * 1000) + 60_000 == identity.expires_at_ms
    assert identity.expires_at_ms == store.values[key_name(cookie)][1]
    assert proven.expires_at_ms == store.values[SEEN][1]


# --- find ---------------------------------------------------------------------------------------


async def test_a_session_shows_the_users_current_metadata(
    sessions: RedisSessions, clock: FakeClock, proven: Identity
) -> None:
    """An email that changed since the sign-in is the new one."""
    cookie, identity = await sessions.create(proven)
    now = User("did:ethr:0xAd", "countess@example.com", username="ada")
    sessions.latest = lambda user, _: now if user == proven.user else user

    assert replace(identity, user=now) == await sessions.find(cookie)

    sessions.latest = lambda user, _: user
    clock.now_s += 1
    assert identity == await sessions.find(cookie)


async def test_a_session_is_cached_for_a_second(
    sessions: RedisSessions, store: FakeStore, clock: FakeClock, proven: Identity
) -> None:
    """A burst of requests costs one look-up."""
    cookie, _ = await sessions.create(proven)
    store.asked.clear()

    found = [await sessions.find(cookie) for _ in range(3)]
    clock.now_s += 1
    found.append(await sessions.find(cookie))

    assert 2 == store.asked.count(("get", key_name(cookie)))
    assert 1 == len(set(found))


@pytest.mark.parametrize("cookie", ["", "x", "a" * 43, "\ud800" * 43, "a" * 100_000])
async def test_an_unknown_cookie_has_no_session(sessions: RedisSessions, cookie: str) -> None:
    """Made-up cookies of any form are refused."""
    with pytest.raises(SessionEnded):
        await sessions.find(cookie)


async def test_an_unknown_session_is_not_cached(
    sessions: RedisSessions, store: FakeStore, proven: Identity
) -> None:
    """A session that appears later is found at once."""
    cookie, identity = await sessions.create(proven)
    kept = store.values.pop(key_name(cookie))
    with pytest.raises(SessionEnded):
        await sessions.find(cookie)
    store.values[key_name(cookie)] = kept

    assert identity == await sessions.find(cookie)


async def test_an_unavailable_store_ends_no_session(
    sessions: RedisSessions, store: FakeStore, proven: Identity
) -> None:
    """Users stay signed in."""
    cookie, _ = await sessions.create(proven)
    store.is_down = True

    with pytest.raises(StoreUnavailable):
        await sessions.find(cookie)


async def test_a_swapped_record_is_refused(
    sessions: RedisSessions, store: FakeStore, proven: Identity
) -> None:
    """Write access to the store cannot turn one user into another."""
    mine, _ = await sessions.create(proven)
    yours, _ = await sessions.create(replace(proven, token_id="other"))
    store.values[key_name(mine)] = store.values[key_name(yours)]

    with pytest.raises(SessionEnded, match="session_seal_broken"):
        await sessions.find(mine)


async def test_an_unchanged_record_is_opened_once(
    sessions: RedisSessions, clock: FakeClock, proven: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Later look-ups return the same identity, so what follows from it is kept, too."""
    opened: list[str] = []
    really_open = Sealer.open

    def counted(sealer: Sealer, secret: str, sealed: bytes, name: str = "") -> bytes:
        opened.append(name)
        return really_open(sealer, secret, sealed, name)

    monkeypatch.setattr(Sealer, "open", counted)
    cookie, _ = await sessions.create(proven)
    first = await sessions.find(cookie)
    for _ in range(3):
        clock.now_s += 1
        assert first is await sessions.find(cookie)

    assert [key_name(cookie)] == opened


async def test_a_record_that_was_replaced_is_opened_again(
    sessions: RedisSessions, store: FakeStore, clock: FakeClock, proven: Identity
) -> None:
    """What is known of the former record lets no other one pass, and a good one counts."""
    cookie, identity = await sessions.create(proven)
    other, _ = await sessions.create(replace(proven, token_id="other"))
    key, (sealed, ends_ms) = key_name(cookie), store.values[key_name(cookie)]
    await sessions.find(cookie)
    later = Session(replace(identity, token_id="later"), 1)
    store.values[key] = Sealer([KEY]).seal(cookie, encode(later)), ends_ms
    clock.now_s += 1
    assert later.identity == await sessions.find(cookie)

    for wrong in (store.values[key_name(other)][0], sealed[:-1] + bytes([sealed[-1] ^ 1]), b""):
        clock.now_s += 1
        store.values[key] = wrong, ends_ms
        with pytest.raises(SessionEnded, match="session_seal_broken"):
            await sessions.find(cookie)
    store.values[key] = sealed, ends_ms
    assert identity == await sessions.find(cookie)


async def test_an_unreadable_record_is_refused(
    sessions: RedisSessions, store: FakeStore, proven: Identity
) -> None:
    """Such as one of a later version, after a rollback."""
    cookie, _ = await sessions.create(proven)
    sealed = Sealer([KEY]).seal(cookie, b"{}")
    store.values[key_name(cookie)] = sealed, proven.expires_at_ms

    with pytest.raises(SessionEnded, match="session_unreadable"):
        await sessions.find(cookie)


@pytest.mark.parametrize("is_cached", [True, False])
async def test_a_session_expires_to_the_millisecond(
    sessions: RedisSessions, store: FakeStore, clock: FakeClock, proven: Identity, is_cached: bool
) -> None:
    """By our clock, too, whether it is cached or stored."""
    cookie, _ = await sessions.create(proven)
    store.values[key_name(cookie)] = store.values[key_name(cookie)][0], 2**62
    clock.now_s = (proven.expires_at_ms - 1) / 1000
    if is_cached:
        await sessions.find(cookie)
    clock.now_s = proven.expires_at_ms / 1000

    with pytest.raises(SessionEnded, match="expired"):
        await sessions.find(cookie)


@pytest.mark.parametrize(
    ("replies", "outcome"),
    [
        pytest.param([b"garbled", None], None, id="garbled-once"),
        pytest.param([b"garbled", b"otherwise"], StoreUnavailable, id="garbled-twice"),
        pytest.param([b"garbled", b"garbled"], SessionEnded, id="garbled-in-the-store"),
        pytest.param([b"garbled", b""], SessionEnded, id="garbled-and-gone"),
    ],
)
@pytest.mark.parametrize("is_known", [False, True])
async def test_a_record_that_does_not_open_is_read_once_more(
    sessions: RedisSessions,
    store: FakeStore,
    proven: Identity,
    monkeypatch: pytest.MonkeyPatch,
    replies: list[bytes | None],
    outcome: type[Exception] | None,
    is_known: bool,
) -> None:
    """A reply that was garbled on its way ends no session; a record that is not one does."""
    cookie, identity = await sessions.create(proven)
    if is_known:
        await sessions.find(cookie)
        sessions.forget_all()
    read, right, left = store.get, store.values[key_name(cookie)][0], list(replies)

    async def garbled(key: str) -> bytes | None:
        if key != key_name(cookie) or not left:
            return await read(key)
        return {None: right, b"": None}.get(reply := left.pop(0), reply)

    monkeypatch.setattr(store, "get", garbled)

    if outcome is None:
        assert identity == await sessions.find(cookie)
    else:
        with pytest.raises(outcome):
            await sessions.find(cookie)


# --- end ----------------------------------------------------------------------------------------


async def test_an_ended_session_is_gone_here_and_in_the_store(
    sessions: RedisSessions, store: FakeStore, proven: Identity
) -> None:
    """A logout does not only clear the cookie."""
    cookie, identity = await sessions.create(proven)
    await sessions.find(cookie)

    await sessions.end(str(identity.session_key))

    with pytest.raises(SessionEnded):
        await sessions.find(cookie)
    assert {SEEN} == store.values.keys()


async def test_a_look_up_before_the_end_is_not_cached(
    sessions: RedisSessions, store: FakeStore, proven: Identity
) -> None:
    """Its reply is from before the end."""
    cookie, identity = await sessions.create(proven)
    store.gate.clear()
    finding = asyncio.ensure_future(sessions.find(cookie))
    await asyncio.sleep(0)
    ending = asyncio.ensure_future(sessions.end(str(identity.session_key)))
    await asyncio.sleep(0)
    store.gate.set()
    await asyncio.gather(finding, ending)

    with pytest.raises(SessionEnded):
        await sessions.find(cookie)


async def test_a_look_up_that_overtakes_the_end_is_not_cached(
    sessions: RedisSessions, store: FakeStore, proven: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It began after the end, and the store replied before the deletion."""
    cookie, identity = await sessions.create(proven)
    delete, hold = store.delete, asyncio.Event()

    async def slow_delete(key: str) -> bool:
        await hold.wait()
        return await delete(key)

    monkeypatch.setattr(store, "delete", slow_delete)
    ending = asyncio.ensure_future(sessions.end(str(identity.session_key)))
    await asyncio.sleep(0)
    assert identity == await sessions.find(cookie)
    hold.set()
    await ending

    with pytest.raises(SessionEnded):
        await sessions.find(cookie)


async def test_a_failed_end_is_an_error(
    sessions: RedisSessions, store: FakeStore, proven: Identity
) -> None:
    """The user must not believe to be signed out."""
    _, identity = await sessions.create(proven)
    store.is_down = True

    with pytest.raises(StoreUnavailable):
        await sessions.end(str(identity.session_key))


# --- ended ----------------------------------------------------------------------------------------


async def test_a_session_without_record_has_ended(
    sessions: RedisSessions, store: FakeStore, proven: Identity
) -> None:
    """Even one that was looked up a moment ago."""
    living, _ = await sessions.create(proven)
    cookie, _ = await sessions.create(replace(proven, token_id="tid2"))
    await sessions.find(cookie)
    del store.values[key_name(cookie)]

    gone = await ended(store, [key_name(living), key_name(cookie), "session:unknown"])

    assert {key_name(cookie), "session:unknown"} == gone
    assert not await ended(store, [])


async def test_no_session_counts_as_ended_while_the_store_is_down(store: FakeStore) -> None:
    """Unknown is not absent."""
    store.is_down = True
    assert not await ended(store, ["session:unknown"])


async def test_on_end_is_called_even_if_the_store_fails(
    sessions: RedisSessions, store: FakeStore, proven: Identity
) -> None:
    """Tunnels of the session are closed all the same."""
    _, identity = await sessions.create(proven)
    told: list[str] = []
    sessions.on_end = told.append
    store.is_down = True

    with pytest.raises(StoreUnavailable):
        await sessions.end(str(identity.session_key))

    assert [identity.session_key] == told


# --- other gateways -----------------------------------------------------------------------------


async def test_an_end_is_published_after_the_deletion(
    store: FakeStore, clock: FakeClock, proven: Identity
) -> None:
    """A gateway that is told earlier could still find the session in the store."""
    sessions = RedisSessions(store, Sealer([KEY]), clock, bus=StoreBus(store))
    cookie, _ = await sessions.create(proven)
    store.asked.clear()

    await sessions.end(key_name(cookie))

    assert [
        ("delete", key_name(cookie)),
        ("publish", f"invalidate session {key_name(cookie)}"),
    ] == store.asked


async def test_a_failed_end_is_not_published(
    store: FakeStore, clock: FakeClock, proven: Identity
) -> None:
    """The caller gets the error."""
    sessions = RedisSessions(store, Sealer([KEY]), clock, bus=StoreBus(store))
    cookie, _ = await sessions.create(proven)
    store.is_down = True

    with pytest.raises(StoreUnavailable):
        await sessions.end(key_name(cookie))

    assert "publish" not in [command for command, _ in store.asked]


async def test_after_missed_messages_sessions_are_looked_up_again(
    sessions: RedisSessions, store: FakeStore, proven: Identity
) -> None:
    """A look-up that began before is not cached either."""
    cookie, _ = await sessions.create(proven)
    await sessions.find(cookie)
    await store.delete(key_name(cookie))

    sessions.forget_all()

    with pytest.raises(SessionEnded):
        await sessions.find(cookie)


# --- revoked ------------------------------------------------------------------------------------


class Epochs:
    """The port `Revocations`, preset; fails while ``is_unreadable``."""

    def __init__(self) -> None:
        self.epoch: int | None = None
        self.asked: list[str] = []
        self.is_unreadable = False

    async def epoch_ms(self, issuer: str) -> int | None:
        raise NotImplementedError(issuer)

    def epoch_in(self, record: bytes | None, issuer: str) -> int | None:
        assert record is None
        self.asked.append(issuer)
        if self.is_unreadable:
            raise StoreUnavailable
        return self.epoch

    async def revoke(self, issuer: str, notices: Sequence[Notice] = ()) -> int:
        raise NotImplementedError


GRACE_S = 30.0


@pytest.fixture
def epochs() -> Epochs:
    return Epochs()


@pytest.fixture
def graces() -> list[None]:
    """One for each request that was let in by what was known before."""
    return []


@pytest.fixture
def careful(
    store: FakeStore, clock: FakeClock, epochs: Epochs, graces: list[None]
) -> RedisSessions:
    """Sessions that can be revoked, and that go on without the store for a while."""
    return RedisSessions(
        store,
        Sealer([KEY]),
        clock,
        cache=SessionCache(grace_s=GRACE_S),
        revocations=epochs,
        on_grace=partial(graces.append, None),
    )


async def test_sessions_of_older_proofs_are_revoked(
    careful: RedisSessions, epochs: Epochs, proven: Identity, clock: FakeClock
) -> None:
    """A stolen token that is exchanged after the revocation makes no session."""
    made_ms = int(clock.now_s * 1000)
    cookie, identity = await careful.create(replace(proven, proven_at_ms=made_ms))
    epochs.epoch = made_ms - 1
    assert identity == await careful.find(cookie)
    clock.now_s += 1
    epochs.epoch = made_ms

    with pytest.raises(RevokedSession):
        await careful.find(cookie)


async def test_each_look_up_asks_for_one_epoch(
    careful: RedisSessions, epochs: Epochs, proven: Identity, clock: FakeClock, store: FakeStore
) -> None:
    """Together with the session, where the issuer is known."""
    cookie, _ = await careful.create(proven)
    for seconds in range(3):
        await careful.find(cookie)
        assert [proven.user.issuer] * (seconds + 1) == epochs.asked
        clock.now_s += 1


async def test_a_record_that_names_another_issuer_asks_for_that_epoch(
    careful: RedisSessions, epochs: Epochs, proven: Identity, clock: FakeClock, store: FakeStore
) -> None:
    """The epoch that came with it is that of the issuer before."""
    cookie, identity = await careful.create(proven)
    await careful.find(cookie)
    bob = replace(identity, user=User("did:ethr:0xB0b"))
    sealed = Sealer([KEY]).seal(cookie, encode(Session(bob, 1)))
    store.values[key_name(cookie)] = sealed, 1 << 53
    epochs.asked.clear()
    store.asked.clear()
    clock.now_s += 1

    assert bob == await careful.find(cookie)
    assert ["did:ethr:0xB0b"] == epochs.asked
    key, theirs, bobs = key_name(cookie), key_of("did:ethr:0xAd"), key_of("did:ethr:0xB0b")
    assert [("get", key), ("get", theirs), ("get", bobs)] == store.asked


async def test_an_invalidation_refuses_a_revoked_session_at_once(
    careful: RedisSessions, epochs: Epochs, proven: Identity
) -> None:
    """The gateway does not wait for the second to pass."""
    cookie, _ = await careful.create(proven)
    await careful.find(cookie)
    epochs.epoch = 1 << 53
    careful.forget_issuer(proven.user.issuer)

    with pytest.raises(RevokedSession):
        await careful.find(cookie)


async def test_a_known_session_is_revoked_at_its_next_look_up(
    careful: RedisSessions, epochs: Epochs, proven: Identity, clock: FakeClock
) -> None:
    """However often its unchanged record was looked up before."""
    made_ms = int(clock.now_s * 1000)
    cookie, identity = await careful.create(replace(proven, proven_at_ms=made_ms))
    for _ in range(3):
        assert identity == await careful.find(cookie)
        clock.now_s += 1
    epochs.epoch = made_ms

    with pytest.raises(RevokedSession):
        await careful.find(cookie)


async def test_a_revocation_that_no_message_tells_takes_effect_within_a_second(
    store: FakeStore, clock: FakeClock, proven: Identity
) -> None:
    """The epoch is asked for with the session, however recently another look-up has read it."""
    issuer = proven.user.issuer
    revocations = RedisRevocations(store, StoreBus(store), kept_s=3600, clock=clock)
    sessions = RedisSessions(store, Sealer([KEY]), clock, revocations=revocations)
    cookies = [
        (await sessions.create(replace(proven, token_id=str(number))))[0] for number in range(2)
    ]
    await sessions.find(cookies[0])
    store.values[key_of(issuer)] = b"%d" % (1 << 53), 1 << 53
    clock.now_s += 0.5

    with pytest.raises(RevokedSession):
        await sessions.find(cookies[1])
    clock.now_s += 0.5
    with pytest.raises(RevokedSession):
        await sessions.find(cookies[0])


@pytest.mark.parametrize("is_revoked", [False, True])
async def test_apps_are_told_of_the_user_of_a_valid_session_alone(
    store: FakeStore, clock: FakeClock, proven: Identity, *, is_revoked: bool
) -> None:
    """The record of a revoked session may still be there; its user has no proof any more."""
    revocations = RedisRevocations(store, StoreBus(store), kept_s=3600, clock=clock)
    sessions = RedisSessions(store, Sealer([KEY]), clock, revocations=revocations)
    cookie, identity = await sessions.create(proven)
    ends: list[int] = []

    def latest(user: User, ends_at_ms: int) -> User:
        ends.append(ends_at_ms)
        return user

    sessions.latest = latest
    if is_revoked:
        store.values[key_of(proven.user.issuer)] = b"%d" % (1 << 53), 1 << 53
        with pytest.raises(RevokedSession):
            await sessions.find(cookie)
        assert [0] == ends
    else:
        await sessions.find(cookie)
        assert [0, identity.expires_at_ms] == ends


@pytest.mark.parametrize("is_known", [False, True])
async def test_a_slow_store_does_not_delay_a_revocation(
    is_known: bool, store: FakeStore, clock: FakeClock, proven: Identity
) -> None:
    """The second until it takes effect begins when the store is asked, not when it replies."""
    revocations = RedisRevocations(store, StoreBus(store), kept_s=3600, clock=clock)
    sessions = RedisSessions(store, Sealer([KEY]), clock, revocations=revocations)
    cookie, identity = await sessions.create(proven)
    if is_known:
        await sessions.find(cookie)
        clock.now_s += 1
    store.gate.clear()
    finding = asyncio.ensure_future(sessions.find(cookie))
    await asyncio.sleep(0)
    clock.now_s += 0.5
    store.gate.set()
    assert identity == await finding
    store.values[key_of(proven.user.issuer)] = b"%d" % (1 << 53), 1 << 53
    assert identity == await sessions.find(cookie)
    clock.now_s += 0.5

    with pytest.raises(RevokedSession):
        await sessions.find(cookie)


# --- grace --------------------------------------------------------------------------------------


async def test_cached_sessions_stay_valid_for_the_grace_period(
    careful: RedisSessions,
    store: FakeStore,
    proven: Identity,
    clock: FakeClock,
    graces: list[None],
) -> None:
    """It begins at the last good look-up; afterwards the session is unknown, not ended."""
    cookie, identity = await careful.create(proven)
    await careful.find(cookie)
    store.is_down = True
    clock.now_s += GRACE_S - 0.001
    assert identity == await careful.find(cookie)
    assert 1 == len(graces)

    clock.now_s += 0.001
    with pytest.raises(StoreUnavailable):
        await careful.find(cookie)


async def test_without_the_store_other_sessions_are_refused(
    careful: RedisSessions, store: FakeStore, proven: Identity
) -> None:
    """Neither unknown cookies nor new sign-ins pass."""
    cookie, _ = await careful.create(proven)
    store.is_down = True
    for found in (careful.find(cookie), careful.create(replace(proven, token_id="other"))):
        with pytest.raises(StoreUnavailable):
            await found


@pytest.mark.parametrize("how", ["ended", "ended-elsewhere", "revoked"])
async def test_an_ended_session_has_no_grace(
    careful: RedisSessions, store: FakeStore, proven: Identity, how: str
) -> None:
    """Even if the store could not be reached for its end."""
    cookie, identity = await careful.create(proven)
    await careful.find(cookie)
    store.is_down = True
    match how:
        case "ended":
            with pytest.raises(StoreUnavailable):
                await careful.end(str(identity.session_key))
        case "ended-elsewhere":
            careful.forget(str(identity.session_key))
        case _:
            careful.forget_issuer(proven.user.issuer)

    with pytest.raises(StoreUnavailable):
        await careful.find(cookie)


async def test_a_session_that_was_found_to_have_ended_has_no_grace(
    careful: RedisSessions, store: FakeStore, proven: Identity, clock: FakeClock
) -> None:
    """The store went down only after it had said so."""
    cookie, identity = await careful.create(proven)
    await careful.find(cookie)
    await store.delete(str(identity.session_key))
    clock.now_s += 1
    with pytest.raises(SessionEnded):
        await careful.find(cookie)
    store.is_down = True

    with pytest.raises(StoreUnavailable):
        await careful.find(cookie)


async def test_the_grace_period_ends_with_the_session(
    careful: RedisSessions, store: FakeStore, proven: Identity, clock: FakeClock
) -> None:
    """It never extends a session."""
    ends_ms = int(clock.now_s * 1000) + 5000
    cookie, identity = await careful.create(replace(proven, expires_at_ms=ends_ms))
    await careful.find(cookie)
    store.is_down = True
    clock.now_s += 4.999
    assert identity == await careful.find(cookie)
    clock.now_s += 0.001
    with pytest.raises(StoreUnavailable):
        await careful.find(cookie)


async def test_a_session_with_an_unknown_epoch_is_refused(
    careful: RedisSessions, epochs: Epochs, proven: Identity
) -> None:
    """Its record in the store may hold anything."""
    cookie, _ = await careful.create(proven)
    epochs.is_unreadable = True

    with pytest.raises(StoreUnavailable):
        await careful.find(cookie)
