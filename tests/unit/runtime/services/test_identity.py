"""What knows identities is built in one place, and hears of what it must forget."""

import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway.core.identity import AuthMethod, Identity, User
from gateway.core.invalidation import InvalidationKind
from gateway.runtime.services.identity import (
    identity_services,
    record_lifetimes,
    revocation_store,
    server_keys,
    session_store,
    throwaway_keys,
    token_rules,
)
from gateway.runtime.services.store import SharedStore, open_store, shared_store, store_server
from gateway.store.bus import StoreBus
from tests.fakes.ports import ISSUER
from tests.fakes.services import INHERITED, fake_process, settings_of
from tests.fakes.store import FakeStore

FIRST, SECOND = b"the first key, which is quite long enough", b"the second key, long enough as well"
KEYS = f'session: {{keys: ["{FIRST.decode()}", "{SECOND.decode()}"]}}'


def test_the_first_key_seals() -> None:
    """As the config lists them; without one, a command makes a key to throw away."""
    assert [(FIRST, SECOND), ()] == [server_keys(settings_of(more)) for more in (KEYS, "")]
    assert throwaway_keys() != throwaway_keys()


async def test_a_command_sees_the_sessions_of_a_gateway(tmp_path: Path) -> None:
    """Both build the store of sessions by the same function."""
    settings = settings_of(KEYS, redis=f"embedded://{tmp_path}")
    keys = server_keys(settings)
    async with store_server(settings) as url, open_store(url, settings) as store:
        of_gateway = session_store(settings, SharedStore(store, StoreBus(store)), keys)
        proof = Identity(User(ISSUER), AuthMethod.DID_TOKEN, "tid", int((time.time() + 60) * 1000))
        cookie, created = await of_gateway.create(proof)
        async with shared_store(settings) as shared:
            of_command = session_store(settings, shared, keys)
            [listed] = await of_command.list_for(ISSUER)
            assert created.session_key == listed.session_key
            assert ISSUER == (await of_command.find(cookie)).user.issuer


async def test_an_epoch_outlives_what_it_ends() -> None:
    """By a day: clocks differ."""
    store = FakeStore(time.time)
    revocations = revocation_store(SharedStore(store, StoreBus(store)), lifetime_s=1000)
    assert 86_400 + 1000 == revocations._kept_s


def test_records_and_tokens_live_as_the_config_says() -> None:
    """The command line uses the same rules."""
    settings = settings_of("identity: {metadata_ttl: 1m, max_token_lifetime: 2h}")
    assert 60 == record_lifetimes(settings).ttl_s
    rules = token_rules(settings.identity, "me")
    assert ("me", 7200) == (rules.audience, rules.max_lifetime_s)


@pytest.mark.parametrize("more", ["", "session: {idle: 5m}"])
async def test_caches_hold_as_many_people_as_the_config_says(more: str) -> None:
    """Sessions, DID tokens, users and epochs alike: one that is missing slows all of them."""
    settings = settings_of("identity: {cache: 12345}\n" + more)
    async with fake_process(settings) as process, AsyncExitStack() as stack:
        services = identity_services(settings, process, stack)
        caches = (
            services.sessions._cache._sessions,
            services.directory._known,
            services.tokens._verified,
            services.revocations._known,
        )

        assert [12_345] * 4 == [cache._capacity for cache in caches]


async def test_services_are_unsubscribed_when_their_config_is_over() -> None:
    """A reload that opens and closes a config leaves nothing behind on the bus."""
    settings = settings_of()
    async with fake_process(settings) as process:
        bus = process.bus
        assert isinstance(bus, StoreBus)
        async with AsyncExitStack() as stack:
            services = identity_services(settings, process, stack)
            assert (INHERITED.made_up_key,) == services.server_keys
            assert all(bus._subscribers[kind] for kind in _KINDS)
        assert not any(bus._subscribers[kind] for kind in _KINDS)
        assert [] == bus._missed_callbacks


_KINDS = (InvalidationKind.SESSION, InvalidationKind.REVOKED, InvalidationKind.USER)
