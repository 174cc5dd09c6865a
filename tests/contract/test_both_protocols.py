"""Gateways over REST and over the Redis protocol, on one database."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.authn.api_key.key import KeySealer
from gateway.authn.api_key.redis import RedisApiKeys
from gateway.core.identity import Browser
from gateway.core.limit import Limit
from gateway.login_attempts.contact import Contact, ContactHasher
from gateway.login_attempts.redis import RedisAttempts
from gateway.ratelimit.local import LocalLimiter
from gateway.ratelimit.redis import RedisLimiter
from gateway.revocation.redis import RedisRevocations
from gateway.sessions.redis import RedisSessions
from gateway.sessions.seal import Sealer
from gateway.store.bus import StoreBus
from gateway.store.exchanges import ReplyCheck
from gateway.store.line import Line
from gateway.store.packing import Command, words_of
from gateway.store.redis import RedisStore
from gateway.store.rest import RestLines
from gateway.upstash.server import serving
from tests.contract.test_sessions import proven
from tests.fakes.servers import Servers, opened_client
from tests.fakes.upstash import REST, TOKENS, opened_store

OLD, NEW = b"o" * 32, b"n" * 32
SEALER = Sealer([NEW])
LAPTOP = Browser("laptop", "203.0.113.9")

Stores = tuple[RedisStore, RedisStore]


@pytest.fixture(params=["rest-first", "redis-first"])
async def stores(request: pytest.FixtureRequest, servers: Servers) -> AsyncIterator[Stores]:
    """Both on one database, each of them once as the first to write."""
    async with (
        opened_client(REST, servers) as client,
        opened_store(REST, client, servers) as over_rest,
        opened_store("valkey", client, servers) as over_redis,
    ):
        both = over_rest, over_redis
        yield both if request.param == "rest-first" else both[::-1]


async def test_a_session_of_one_is_one_of_the_other(stores: Stores) -> None:
    """It is found, listed with its browser, noted as used, and ended."""
    first, second = (RedisSessions(store, SEALER) for store in stores)
    cookie, made = await first.create(proven(token_id="1"), LAPTOP)
    await second.create(proven(token_id="2"), LAPTOP)

    assert made == await second.find(cookie)
    for sessions in (first, second):
        listed = await sessions.list_for(made.user.issuer)
        assert [LAPTOP] * 2 == [each.browser for each in listed]
    assert 2 == await second.end_all(made.user.issuer)
    assert [] == await first.list_for(made.user.issuer)


class StaleReads:
    """The REST API, as a replica answers that has none of the values."""

    def __init__(self, url: str) -> None:
        self._lines = RestLines(url, TOKENS.standard, 5)

    def take_ready(self, now_s: float) -> Line | None:
        return self._lines.take_ready(now_s)

    async def execute(self, commands: list[Command], check: ReplyCheck) -> list[Any]:
        replies = await self._lines.execute(commands, check)
        return [
            [None] * len(reply) if words_of(command)[0] == "MGET" else reply
            for command, reply in zip(commands, replies, strict=True)
        ]

    async def read(self, commands: list[Command], check: ReplyCheck, _trial: int) -> list[Any]:
        return await self.execute(commands, check)

    async def aclose(self) -> None:
        await self._lines.aclose()


async def test_a_session_is_found_though_a_replica_does_not_have_it(servers: Servers) -> None:
    """What the gateway asks then is a command that no replica may carry out."""
    async with (
        opened_client(REST, servers) as client,
        opened_store("valkey", client, servers) as store,
        serving(servers("valkey").url.removeprefix("unix://"), TOKENS, 0) as port,
    ):
        stale = RedisStore(StaleReads(f"http://127.0.0.1:{port}"), "gw:", 5, locks_keys=True)
        cookie, made = await RedisSessions(store, SEALER).create(proven())

        assert made == await RedisSessions(stale, SEALER, reads_lag=True).find(cookie)
        assert "write" in (await client.command())["getex"]["flags"]
        await stale.aclose()


async def test_an_api_key_of_one_is_sealed_anew_by_the_other(stores: Stores) -> None:
    """And again, in whichever form it is stored by then."""
    first, second = (RedisApiKeys(store, KeySealer([OLD])) for store in stores)
    _, key = await first.create("a", "service:x", lifetime_s=60)
    assert key == await second.get(key.id)

    for store, sealing in zip(stores[::-1], ([NEW, OLD], [OLD, NEW]), strict=True):
        assert await RedisApiKeys(store, KeySealer(sealing)).reseal(key.id)

    assert key == await first.get(key.id) == await second.get(key.id)


async def test_an_attempt_to_sign_in_may_end_at_the_other(stores: Stores) -> None:
    """The nonce is good once, whichever gateway made it."""
    first, second = (RedisAttempts(store, ContactHasher((NEW,))) for store in stores)
    user = proven().user
    nonce, browser = await first.begin(Contact("email", str(user.email)), "")

    await second.take(nonce, browser, user)


async def test_what_is_counted_and_revoked_is_counted_and_revoked_for_both(stores: Stores) -> None:
    """One count, and one epoch."""
    limit = Limit("three", rate=3, window_s=10**8)
    limiters = [RedisLimiter(store, LocalLimiter()) for store in stores]
    revocations = [
        RedisRevocations(store, StoreBus(store), kept_s=60, grace_s=30) for store in stores
    ]

    allowed = [(await limiters[turn % 2].spend(limit, "a")).allowed for turn in range(4)]
    epoch_ms = await revocations[0].revoke("did:ethr:0x1")

    assert [True, True, True, False] == allowed
    assert epoch_ms == await revocations[1].epoch_ms("did:ethr:0x1")
