"""The idle time-out of sessions."""

import asyncio
from dataclasses import replace

import pytest

from gateway.core.errors import SessionEnded
from gateway.core.identity import AuthMethod, Identity, User
from gateway.sessions.redis import RedisSessions
from gateway.sessions.seal import Sealer
from tests.fakes.memory import FakeClock
from tests.fakes.session_scripts import SessionScripts
from tests.fakes.store import FakeStore

IDLE_S = 100.0
ISSUER = "did:ethr:0xAd"


class Site:
    """Gateways on one store, with the idle time-out `IDLE_S`."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = FakeStore(self.clock)
        SessionScripts(self.store)
        ends_ms = int(self.clock.now_s * 1000) + 900_000
        self.proven = Identity(User(ISSUER), AuthMethod.DID_TOKEN, "tid", ends_ms)
        self.gateway = self.another()

    def another(self) -> RedisSessions:
        return RedisSessions(self.store, Sealer([b"k" * 32]), self.clock, idle_s=IDLE_S)

    async def use(self, cookie: str, after_s: float, gateway: RedisSessions | None = None) -> None:
        self.clock.now_s += after_s
        chosen = gateway or self.gateway
        await chosen.find(cookie)
        await chosen.aclose()

    def scripts(self) -> list[str]:
        """Those that ran since the last question."""
        ran = [name for command, name in self.store.asked if command == "run"]
        self.store.asked.clear()
        return ran


@pytest.fixture
def site() -> Site:
    return Site()


async def test_an_unused_session_ends_after_the_idle_timeout(site: Site) -> None:
    """Long before its token expires."""
    cookie, _ = await site.gateway.create(site.proven)
    await site.use(cookie, IDLE_S - 1, site.another())
    site.clock.now_s += IDLE_S

    with pytest.raises(SessionEnded):
        await site.gateway.find(cookie)


async def test_a_session_in_use_ends_with_its_token(site: Site) -> None:
    """The idle time-out does not extend it beyond that."""
    cookie, identity = await site.gateway.create(site.proven)
    for _ in range(17):
        await site.use(cookie, 50)
    assert identity.expires_at_ms == site.store.values[str(identity.session_key)][1]
    site.clock.now_s += 50

    with pytest.raises(SessionEnded):
        await site.gateway.find(cookie)


async def test_use_is_written_every_tenth_of_the_idle_timeout(site: Site) -> None:
    """By all gateways together: a second one learns that another has done it."""
    cookie, _ = await site.gateway.create(site.proven)
    other = site.another()
    await site.use(cookie, 5)
    await site.use(cookie, 5, other)
    site.scripts()

    await site.use(cookie, 1)
    assert ["keep"] == site.scripts(), "it is due here, and was just done there"
    for _ in range(8):
        await site.use(cookie, 1)
        await site.use(cookie, 0, other)
    assert [] == site.scripts()
    await site.use(cookie, 1)
    assert ["keep", "seen"] == site.scripts()


async def test_a_late_use_does_not_revive_an_ended_session(site: Site) -> None:
    """Neither its record nor its place on the list."""
    cookie, identity = await site.gateway.create(site.proven)
    key = str(identity.session_key)
    site.clock.now_s += 50
    site.store.gate.clear()
    using = asyncio.ensure_future(site.gateway.find(cookie))
    await asyncio.sleep(0)
    del site.store.values[key]
    site.store.gate.set()
    await using
    await site.gateway.aclose()

    assert key not in site.store.values
    assert [] == await site.gateway.list_for(ISSUER)


async def test_a_failed_write_is_repeated_at_the_next_look_up(site: Site) -> None:
    """No session in use ends because a write was lost."""
    cookie, identity = await site.gateway.create(site.proven)
    site.clock.now_s += 50
    await site.gateway.find(cookie)
    site.store.is_down = True
    await site.gateway.aclose()
    site.store.is_down = False
    before = site.store.values[str(identity.session_key)][1]

    await site.use(cookie, 1)

    assert before < site.store.values[str(identity.session_key)][1]


async def test_the_list_shows_when_a_session_was_last_used(site: Site) -> None:
    """To a tenth of the idle time-out."""
    cookie, _ = await site.gateway.create(site.proven)
    created_ms = int(site.clock.now_s * 1000)
    await site.use(cookie, 30)

    (shown,) = await site.gateway.list_for(ISSUER)
    assert (created_ms, created_ms + 30_000) == (shown.created_at_ms, shown.seen_at_ms)


async def test_a_clock_that_was_set_back_does_not_keep_use_from_being_written(site: Site) -> None:
    """Otherwise every session would end an idle time-out later."""
    cookie, _ = await site.gateway.create(site.proven)
    await site.use(cookie, 50)
    site.scripts()
    site.clock.now_s -= 30

    await site.use(cookie, 0, None)

    assert "keep" in site.scripts()


async def test_without_an_idle_timeout_use_is_not_recorded(site: Site) -> None:
    """The list shows no last use."""
    gateway = RedisSessions(site.store, Sealer([b"k" * 32]), site.clock)
    cookie, _ = await gateway.create(replace(site.proven, token_id="tid2"))
    site.scripts()
    for _ in range(5):
        await site.use(cookie, 100, gateway)

    assert [] == site.scripts()
    (shown,) = await gateway.list_for(ISSUER)
    assert shown.seen_at_ms is None
