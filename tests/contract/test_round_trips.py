"""How many exchanges with the store it takes to see a caller for the first time."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial

import pytest
from redis.asyncio import Redis

from gateway.authn.did_token.token import TokenRules
from gateway.authn.did_token.verifier import DidTokenVerifier
from gateway.authz.authoriser import Authoriser
from gateway.authz.role_store import RedisRoleStore
from gateway.core.errors import RevokedToken
from gateway.core.identity import Identity, User
from gateway.core.invalidation import InvalidationKind
from gateway.core.route import Route
from gateway.revocation.redis import RedisRevocations
from gateway.sessions.redis import RedisSessions
from gateway.sessions.seal import Sealer
from gateway.store.bus import StoreBus
from gateway.store.redis import RedisStore
from gateway.users.directory import CachedDirectory
from gateway.users.metadata import RecordLifetimes
from gateway.users.records import UserRecords
from tests.fakes.tokens import ALICE, AUDIENCE, minted

KEY = b"k" * 32
ROUTE = Route("app", "/*", "app")
ADA = User(ALICE.issuer, "ada@example.com", ALICE.address)


@dataclass
class Gateway:
    """What of a gateway asks the store when it sees a caller."""

    store: RedisStore
    asked: list[str] = field(default_factory=list)
    """The issuers that Magic was asked about."""

    def __post_init__(self) -> None:
        bus = StoreBus(self.store)
        records = UserRecords(self.store, [KEY])
        changed = partial(bus.publish, InvalidationKind.USER)
        self.directory = CachedDirectory(self, records, RecordLifetimes(3600, 60), changed=changed)
        bus.on(InvalidationKind.USER, self.directory.forget)
        self.revocations = RedisRevocations(self.store, bus, kept_s=3600)
        roles = RedisRoleStore(self.store)
        self.authoriser = Authoriser((), roles)
        self.directory.standing = self.authoriser.standing
        self.directory.prepare_standing = roles.prepare
        self.verifier = DidTokenVerifier(
            lambda _token, _skew: None,
            self.directory,
            self.store,
            rules=TokenRules(AUDIENCE, 86_400),
            server_key=KEY,
            revocations=self.revocations,
        )
        self.sessions = RedisSessions(self.store, Sealer([KEY]), revocations=self.revocations)
        self.sessions.latest = self.directory.latest

    async def user(self, issuer: str) -> User | None:
        """Answer as Magic does."""
        self.asked.append(issuer)
        return ADA if issuer == ADA.issuer else None

    async def sees(self, token: str) -> Identity:
        """What a request with a token does, from its credential to its rules."""
        identity = await self.verifier.verify(token)
        return await self.authoriser.with_roles(identity, ROUTE)

    async def aclose(self) -> None:
        await self.directory.aclose()
        await self.sessions.aclose()


@pytest.fixture
async def gateways(real_store: RedisStore) -> AsyncIterator[list[Gateway]]:
    """Two gateways on one store, which knows the scripts."""
    made = [Gateway(real_store) for _ in range(3)]
    await made[2].sees(token(3600))
    await made[2].sessions.create(await made[2].sees(token(3600)))
    await made[2].directory.learn(ADA)
    await made[2].revocations.revoke("did:ethr:0x1")
    yield made
    for each in made:
        await each.aclose()


def token(lifetime_s: float) -> str:
    """A new token of Ada."""
    return minted(time.time(), ALICE, lifetime_s)


async def exchanges(client: Redis) -> int:
    """How many there were: each ends with an ECHO."""
    stats = await client.info("commandstats")
    return int(stats["cmdstat_echo"]["calls"])


async def test_the_first_sight_of_a_token_is_two_exchanges(
    gateways: list[Gateway], real_client: Redis
) -> None:
    """Verdict, user, epoch and roles are read together, and what was learnt is written together."""
    known = token(7200)
    before = await exchanges(real_client)
    assert ADA == (await gateways[0].sees(known)).user
    assert 2 == await exchanges(real_client) - before

    await gateways[0].sees(known)
    assert 2 == await exchanges(real_client) - before
    assert 2 == await real_client.exists(f"gw:user:{ADA.issuer}", f"gw:known:{ADA.issuer}")


async def test_a_second_gateway_reads_once(gateways: list[Gateway], real_client: Redis) -> None:
    """There is nothing left to write."""
    known = token(7200)
    await gateways[0].sees(known)
    before = await exchanges(real_client)
    assert ADA == (await gateways[1].sees(known)).user
    assert 1 == await exchanges(real_client) - before
    assert [] == gateways[1].asked


async def test_a_user_that_only_magic_knows_is_one_exchange_more(
    gateways: list[Gateway], real_client: Redis
) -> None:
    """One to read, a lease, Magic, and one to write all."""
    await UserRecords(gateways[0].store, [KEY]).drop(ADA.issuer)
    before = await exchanges(real_client)
    assert ADA == (await gateways[0].sees(token(7200))).user
    assert 3 == await exchanges(real_client) - before
    assert [ADA.issuer] == gateways[0].asked
    assert 0 == await real_client.exists(f"gw:asking:{ADA.issuer}")


async def test_magic_is_not_asked_about_a_token_that_is_revoked(
    gateways: list[Gateway], real_client: Redis
) -> None:
    """A lease that nothing is written for would hold up the user's next sign-in elsewhere."""
    old = token(7200)
    await UserRecords(gateways[0].store, [KEY]).drop(ADA.issuer)
    await gateways[0].revocations.revoke(ADA.issuer)

    for gateway in gateways[:2]:
        with pytest.raises(RevokedToken):
            await gateway.sees(old)

    assert [] == [*gateways[0].asked, *gateways[1].asked]
    assert 0 == await real_client.exists(f"gw:asking:{ADA.issuer}")


async def test_a_login_is_one_exchange_more_than_its_token(
    gateways: list[Gateway], real_client: Redis
) -> None:
    """The session, its places on two lists, and the mark of the token."""
    identity = await gateways[0].sees(token(7200))
    before = await exchanges(real_client)
    await gateways[0].sessions.create(identity)
    assert 1 == await exchanges(real_client) - before


async def test_the_first_sight_of_a_session_is_two_exchanges(
    gateways: list[Gateway], real_client: Redis
) -> None:
    """The record says whose epoch and metadata are to be read."""
    cookie, _ = await gateways[0].sessions.create(await gateways[0].sees(token(7200)))
    before = await exchanges(real_client)
    assert ADA == (await gateways[1].sessions.find(cookie)).user
    await asyncio.gather(*gateways[1].directory._background)
    assert 2 == await exchanges(real_client) - before
