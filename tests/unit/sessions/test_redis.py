"""How sessions are made, found and ended, in any order of events."""

import asyncio
from dataclasses import replace
from functools import partial

import pytest

from gateway.core.errors import (
    RevokedSession,
    SessionEnded,
    StoreUnavailable,
    TokenAlreadyUsed,
)
from gateway.core.identity import AuthMethod, Identity, User
from gateway.sessions.cache import SessionCache
from gateway.sessions.redis import RedisSessions, ended
from gateway.sessions.seal import NONCE_BYTES, Sealer, key_name
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
    """The store holds neither the cookie nor who it is, and nothing longer than the token lives."""
    cookie, identity = await sessions.create(proven)

    expected = replace(proven, method=AuthMethod.SESSION, session_key=key_name(cookie))
    assert expected == identity == await sessions.find(cookie)
    assert {key_name(cookie), SEEN} == store.values.keys()
    for value, ends_ms in store.values.values():
        assert b"ada" not in value
        assert cookie.encode() not in value
        assert proven.expires_at_ms == ends_ms


async def test_every_login_makes_a_new_session(sessions: RedisSessions, proven: Identity) -> None:
    """Nobody can be made to use a cookie that somebody else knows (session fixation)."""
    made = [await sessions.create(replace(proven, token_id=f"tid{i}")) for i in range(3)]

    assert 3 == len({cookie for cookie, _ in made})


async def test_a_token_can_be_exchanged_once(
    sessions: RedisSessions, store: FakeStore, proven: Identity
) -> None:
    """A copied token makes no second session, and none is left lying about."""
    await sessions.create(proven)
    kept = set(store.values)

    with pytest.raises(TokenAlreadyUsed):
        await sessions.create(proven)

    assert kept == set(store.values)


async def test_of_many_exchanges_at_a_time_one_succeeds(
    sessions: RedisSessions, store: FakeStore, proven: Identity
) -> None:
    """The store decides which."""
    outcomes = await asyncio.gather(
        *(sessions.create(proven) for _ in range(10)), return_exceptions=True
    )

    assert 9 == [type(outcome) for outcome in outcomes].count(TokenAlreadyUsed)
    assert 2 == len(store.values)


async def test_a_failure_in_between_burns_no_token(
    sessions: RedisSessions, store: FakeStore, proven: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who could not sign in because the store blinked can try again with the same token."""

    async def unavailable(*_: object, **__: object) -> bool:
        raise StoreUnavailable

    with monkeypatch.context() as failing:
        failing.setattr(store, "add", unavailable)
        with pytest.raises(StoreUnavailable):
            await sessions.create(proven)
    store.is_down = True
    with pytest.raises(StoreUnavailable):
        await sessions.create(proven)
    store.is_down = False

    assert await sessions.create(proven)


async def test_a_used_token_is_refused_even_if_the_store_fails_then(
    sessions: RedisSessions, store: FakeStore, proven: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be removed has no cookie and ends by itself."""
    await sessions.create(proven)

    async def unavailable(_: str) -> bool:
        raise StoreUnavailable

    monkeypatch.setattr(store, "delete", unavailable)
    with pytest.raises(TokenAlreadyUsed):
        await sessions.create(proven)


async def test_the_config_can_cap_a_session_but_not_the_mark_on_its_token(
    store: FakeStore, clock: FakeClock, proven: Identity
) -> None:
    """A token that outlives its session does not make another."""
    sessions = RedisSessions(store, Sealer([KEY]), clock, lifetime_cap_s=60)

    cookie, identity = await sessions.create(proven)

    assert int(clock.now_s * 1000) + 60_000 == identity.expires_at_ms
    assert identity.expires_at_ms == store.values[key_name(cookie)][1]
    assert proven.expires_at_ms == store.values[SEEN][1]


# --- find ---------------------------------------------------------------------------------------


async def test_who_it_is_is_known_as_of_now(
    sessions: RedisSessions, clock: FakeClock, proven: Identity
) -> None:
    """Where somebody has another address since signing in, apps are told that one."""
    cookie, identity = await sessions.create(proven)
    now = User("did:ethr:0xAd", "countess@example.com", username="ada")
    sessions.latest = lambda user: now if user == proven.user else user

    assert replace(identity, user=now) == await sessions.find(cookie)

    sessions.latest = lambda user: user
    clock.now_s += 1
    assert identity == await sessions.find(cookie)


async def test_a_session_that_was_found_is_not_asked_for_again_at_once(
    sessions: RedisSessions, store: FakeStore, clock: FakeClock, proven: Identity
) -> None:
    """For a second; so a burst of requests costs one look-up."""
    cookie, _ = await sessions.create(proven)
    store.asked.clear()

    found = [await sessions.find(cookie) for _ in range(3)]
    clock.now_s += 1
    found.append(await sessions.find(cookie))

    assert [("get", key_name(cookie))] * 2 == store.asked
    assert 1 == len(set(found))


@pytest.mark.parametrize("cookie", ["", "x", "a" * 43, "\ud800" * 43, "a" * 100_000])
async def test_a_cookie_that_names_nothing(sessions: RedisSessions, cookie: str) -> None:
    """Made-up cookies of any kind are signed in as nobody."""
    with pytest.raises(SessionEnded):
        await sessions.find(cookie)


async def test_absence_is_not_remembered(
    sessions: RedisSessions, store: FakeStore, proven: Identity
) -> None:
    """A session that appears after all is found at once."""
    cookie, identity = await sessions.create(proven)
    kept = store.values.pop(key_name(cookie))
    with pytest.raises(SessionEnded):
        await sessions.find(cookie)
    store.values[key_name(cookie)] = kept

    assert identity == await sessions.find(cookie)


async def test_an_unknown_answer_is_no_absence(
    sessions: RedisSessions, store: FakeStore, proven: Identity
) -> None:
    """Nobody is signed out because the store blinked."""
    cookie, _ = await sessions.create(proven)
    store.is_down = True

    with pytest.raises(StoreUnavailable):
        await sessions.find(cookie)


async def test_a_swapped_record_signs_in_nobody(
    sessions: RedisSessions, store: FakeStore, proven: Identity
) -> None:
    """Whoever can write to the store, or mix up its answers, cannot turn one user into another."""
    mine, _ = await sessions.create(proven)
    yours, _ = await sessions.create(replace(proven, token_id="other"))
    store.values[key_name(mine)] = store.values[key_name(yours)]

    with pytest.raises(SessionEnded, match="session_seal_broken"):
        await sessions.find(mine)


async def test_a_record_that_cannot_be_read_signs_in_nobody(
    sessions: RedisSessions, store: FakeStore, proven: Identity
) -> None:
    """Such as one of a later version, after a rollback."""
    cookie, _ = await sessions.create(proven)
    sealed = Sealer([KEY]).seal(cookie, b"{}", bytes(NONCE_BYTES))
    store.values[key_name(cookie)] = sealed, proven.expires_at_ms

    with pytest.raises(SessionEnded, match="session_unreadable"):
        await sessions.find(cookie)


@pytest.mark.parametrize("is_cached", [True, False])
async def test_a_session_ends_to_the_millisecond(
    sessions: RedisSessions, store: FakeStore, clock: FakeClock, proven: Identity, is_cached: bool
) -> None:
    """By our clock too, whether the store still has it or we do."""
    cookie, _ = await sessions.create(proven)
    store.values[key_name(cookie)] = store.values[key_name(cookie)][0], 2**62
    clock.now_s = (proven.expires_at_ms - 1) / 1000
    if is_cached:
        await sessions.find(cookie)
    clock.now_s = proven.expires_at_ms / 1000

    with pytest.raises(SessionEnded, match="expired"):
        await sessions.find(cookie)


# --- end ----------------------------------------------------------------------------------------


async def test_a_session_that_was_ended_is_gone_here_and_in_the_store(
    sessions: RedisSessions, store: FakeStore, proven: Identity
) -> None:
    """A logout does not only clear the cookie."""
    cookie, identity = await sessions.create(proven)
    await sessions.find(cookie)

    await sessions.end(str(identity.session_key))

    with pytest.raises(SessionEnded):
        await sessions.find(cookie)
    assert {SEEN} == store.values.keys()


async def test_a_look_up_that_was_under_way_does_not_bring_back_an_ended_session(
    sessions: RedisSessions, store: FakeStore, proven: Identity
) -> None:
    """Its answer, from before the end, is not remembered after it."""
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


async def test_a_look_up_that_overtakes_the_end_does_not_either(
    sessions: RedisSessions, store: FakeStore, proven: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It began after the end was asked for, and was answered before that came to the store."""
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


async def test_an_end_that_did_not_reach_the_store_says_so(
    sessions: RedisSessions, store: FakeStore, proven: Identity
) -> None:
    """Or somebody would believe to be signed out who is not."""
    _, identity = await sessions.create(proven)
    store.is_down = True

    with pytest.raises(StoreUnavailable):
        await sessions.end(str(identity.session_key))


# --- ended ----------------------------------------------------------------------------------------


async def test_what_the_store_has_no_more_has_ended(
    sessions: RedisSessions, store: FakeStore, proven: Identity
) -> None:
    """Whatever was looked up a moment ago."""
    living, _ = await sessions.create(proven)
    cookie, _ = await sessions.create(replace(proven, token_id="tid2"))
    await sessions.find(cookie)
    del store.values[key_name(cookie)]

    gone = await ended(store, [key_name(living), key_name(cookie), "session:unknown"])

    assert {key_name(cookie), "session:unknown"} == gone
    assert not await ended(store, [])


async def test_nothing_has_ended_because_the_store_is_away(store: FakeStore) -> None:
    """Unknown is not absent."""
    store.is_down = True
    assert not await ended(store, ["session:unknown"])


async def test_an_end_is_told_to_who_wants_to_know(
    sessions: RedisSessions, store: FakeStore, proven: Identity
) -> None:
    """Even where the store does not hear of it: the wish is known."""
    _, identity = await sessions.create(proven)
    told: list[str] = []
    sessions.on_end = told.append
    store.is_down = True

    with pytest.raises(StoreUnavailable):
        await sessions.end(str(identity.session_key))

    assert [identity.session_key] == told


# --- other gateways -----------------------------------------------------------------------------


async def test_all_gateways_are_told_of_an_end_after_it_has_happened(
    store: FakeStore, clock: FakeClock, proven: Identity
) -> None:
    """Who is told asks the store: told before, it could still find the session there."""
    sessions = RedisSessions(store, Sealer([KEY]), clock, bus=StoreBus(store))
    cookie, _ = await sessions.create(proven)
    store.asked.clear()

    await sessions.end(key_name(cookie))

    assert [
        ("delete", key_name(cookie)),
        ("publish", f"invalidate session {key_name(cookie)}"),
    ] == store.asked


async def test_nobody_is_told_of_an_end_that_did_not_happen(
    store: FakeStore, clock: FakeClock, proven: Identity
) -> None:
    """The store could not be reached: the caller is told so."""
    sessions = RedisSessions(store, Sealer([KEY]), clock, bus=StoreBus(store))
    cookie, _ = await sessions.create(proven)
    store.is_down = True

    with pytest.raises(StoreUnavailable):
        await sessions.end(key_name(cookie))

    assert "publish" not in [command for command, _ in store.asked]


async def test_what_may_have_been_missed_is_asked_for(
    sessions: RedisSessions, store: FakeStore, proven: Identity
) -> None:
    """A look-up that began before is not believed either."""
    cookie, _ = await sessions.create(proven)
    await sessions.find(cookie)
    await store.delete(key_name(cookie))

    sessions.forget_all()

    with pytest.raises(SessionEnded):
        await sessions.find(cookie)


# --- revoked ------------------------------------------------------------------------------------


class Epochs:
    """The port `Revocations`, as it is told; fails while the store is down, unless ``knows``."""

    def __init__(self, store: FakeStore) -> None:
        self.epoch: int | None = None
        self.asked: list[str] = []
        self.knows = False
        self._store = store

    async def epoch_ms(self, issuer: str) -> int | None:
        self.asked.append(issuer)
        if self._store.is_down and not self.knows:
            raise StoreUnavailable
        return self.epoch

    async def revoke(self, issuer: str) -> int:
        raise NotImplementedError


GRACE_S = 30.0


@pytest.fixture
def epochs(store: FakeStore) -> Epochs:
    return Epochs(store)


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


async def test_what_was_proven_before_a_revocation_is_refused(
    careful: RedisSessions, epochs: Epochs, proven: Identity, clock: FakeClock
) -> None:
    """By the time of the proof: a stolen token that is exchanged afterwards makes no session."""
    made_ms = int(clock.now_s * 1000)
    cookie, identity = await careful.create(replace(proven, proven_at_ms=made_ms))
    epochs.epoch = made_ms - 1
    assert identity == await careful.find(cookie)
    clock.now_s += 1
    epochs.epoch = made_ms

    with pytest.raises(RevokedSession):
        await careful.find(cookie)


async def test_whose_session_it_is_is_asked_once(
    careful: RedisSessions, epochs: Epochs, proven: Identity, clock: FakeClock, store: FakeStore
) -> None:
    """For each look-up one question about the epoch, together with the session where it can be."""
    cookie, _ = await careful.create(proven)
    for seconds in range(3):
        await careful.find(cookie)
        assert [proven.user.issuer] * (seconds + 1) == epochs.asked
        clock.now_s += 1


async def test_a_revoked_session_is_refused_at_once_by_those_who_hear(
    careful: RedisSessions, epochs: Epochs, proven: Identity
) -> None:
    """Without waiting for the second in which it would be trusted."""
    cookie, _ = await careful.create(proven)
    await careful.find(cookie)
    epochs.epoch = 1 << 53
    careful.forget_issuer(proven.user.issuer)

    with pytest.raises(RevokedSession):
        await careful.find(cookie)


# --- grace --------------------------------------------------------------------------------------


async def test_without_the_store_known_sessions_go_on(
    careful: RedisSessions,
    store: FakeStore,
    proven: Identity,
    clock: FakeClock,
    graces: list[None],
) -> None:
    """For the grace, counted from the last good look-up; then nobody knows, which is no end."""
    cookie, identity = await careful.create(proven)
    await careful.find(cookie)
    store.is_down = True
    clock.now_s += GRACE_S - 0.001
    assert identity == await careful.find(cookie)
    assert 1 == len(graces)

    clock.now_s += 0.001
    with pytest.raises(StoreUnavailable):
        await careful.find(cookie)


async def test_without_the_store_nobody_else_is_let_in(
    careful: RedisSessions, store: FakeStore, proven: Identity
) -> None:
    """Neither who was never seen here nor who signs in now."""
    cookie, _ = await careful.create(proven)
    store.is_down = True
    for found in (careful.find(cookie), careful.create(replace(proven, token_id="other"))):
        with pytest.raises(StoreUnavailable):
            await found


@pytest.mark.parametrize("how", ["ended", "ended-elsewhere", "revoked"])
async def test_whose_end_was_heard_has_no_grace(
    careful: RedisSessions, store: FakeStore, proven: Identity, how: str
) -> None:
    """Though the store could not be told, or asked."""
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
    """The store was away only after it had said so."""
    cookie, identity = await careful.create(proven)
    await careful.find(cookie)
    await store.delete(str(identity.session_key))
    clock.now_s += 1
    with pytest.raises(SessionEnded):
        await careful.find(cookie)
    store.is_down = True

    with pytest.raises(StoreUnavailable):
        await careful.find(cookie)


async def test_a_grace_ends_with_the_session(
    careful: RedisSessions, store: FakeStore, proven: Identity, clock: FakeClock
) -> None:
    """It is never longer than the session itself."""
    ends_ms = int(clock.now_s * 1000) + 5000
    cookie, identity = await careful.create(replace(proven, expires_at_ms=ends_ms))
    await careful.find(cookie)
    store.is_down = True
    clock.now_s += 4.999
    assert identity == await careful.find(cookie)
    clock.now_s += 0.001
    with pytest.raises(StoreUnavailable):
        await careful.find(cookie)


async def test_a_session_without_its_epoch_is_not_let_in(
    careful: RedisSessions, store: FakeStore, epochs: Epochs, proven: Identity
) -> None:
    """The store may answer one question and not the next."""
    cookie, _ = await careful.create(proven)
    epochs._store = FakeStore(FakeClock())
    epochs._store.is_down = True

    with pytest.raises(StoreUnavailable):
        await careful.find(cookie)
