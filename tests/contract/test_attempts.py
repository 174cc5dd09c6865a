"""Nonces of attempts to sign in, over fakeredis, Valkey and Redis."""

import asyncio
import time
from typing import Any

import pytest
from redis.asyncio import Redis

from gateway.core.errors import NonceRefused
from gateway.core.identity import User
from gateway.login_attempts.contact import Contact, ContactHasher
from gateway.login_attempts.redis import LIFETIME_S, RedisAttempts
from gateway.store.redis import RedisStore

ADA = Contact("email", "ada@example.com")
USER = User("did:ethr:0xAd", email="Ada@example.com")
HASHER = ContactHasher((b"k" * 32,))


async def only_key(client: Redis) -> Any:
    """The one key in the store, as bytes."""
    [key] = await client.keys("*")
    return key


@pytest.fixture
def attempts(store: RedisStore) -> RedisAttempts:
    return RedisAttempts(store, HASHER)


async def test_a_nonce_is_good_once(attempts: RedisAttempts, client: Redis) -> None:
    """Of twenty exchanges at a time one succeeds, and nothing is left in the store."""
    nonce, browser = await attempts.begin(ADA, "")
    outcomes = await asyncio.gather(
        *(attempts.take(nonce, browser, USER) for _ in range(20)), return_exceptions=True
    )
    assert 1 == outcomes.count(None)
    assert 19 == sum(isinstance(outcome, NonceRefused) for outcome in outcomes)
    assert [] == await client.keys("*")


async def test_a_nonce_is_the_browsers_that_asked(attempts: RedisAttempts) -> None:
    """The nonce alone can neither be used nor be used up."""
    nonce, browser = await attempts.begin(ADA, "")
    _, other = await attempts.begin(ADA, "")
    for stranger in (other, "", "x" * 43, browser[:-1], browser + "A"):
        with pytest.raises(NonceRefused):
            await attempts.take(nonce, stranger, USER)
    await attempts.take(nonce, browser, USER)


async def test_a_browser_has_one_secret_for_all_its_tabs(attempts: RedisAttempts) -> None:
    """A second attempt does not spoil the first."""
    first, browser = await attempts.begin(ADA, "")
    second, same = await attempts.begin(ADA, browser)
    assert browser == same
    assert first != second
    await attempts.take(first, browser, USER)
    await attempts.take(second, browser, USER)


@pytest.mark.parametrize("planted", ["x", "x" * 44, "x" * 42 + "=", "\u00e9" * 43])
async def test_a_planted_secret_is_replaced(attempts: RedisAttempts, planted: str) -> None:
    """A cookie that cannot be ours is not gone on with."""
    _, browser = await attempts.begin(ADA, planted)
    assert planted != browser


@pytest.mark.parametrize(
    ("asked_for", "user"),
    [
        pytest.param(Contact("email", "bob@example.com"), USER, id="another-email"),
        pytest.param(Contact("phone", "+14155550100"), USER, id="a-phone-that-the-user-has-not"),
        pytest.param(ADA, User("i", phone="+14155550100"), id="an-email-that-the-user-has-not"),
        pytest.param(Contact("phone", "ada@example.com"), USER, id="another-kind"),
        pytest.param(Contact("issuer", "did:ethr:0xae"), USER, id="another-issuer"),
        pytest.param(
            Contact("issuer", "did:ethr:0xae"), User("did:ethr:0xAd"), id="without-an-address"
        ),
    ],
)
async def test_a_nonce_is_for_the_address_that_was_asked_for(
    attempts: RedisAttempts, asked_for: Contact, user: User
) -> None:
    """To be throttled for one address and to sign in with another leads nowhere."""
    nonce, browser = await attempts.begin(asked_for, "")
    with pytest.raises(NonceRefused, match="another contact"):
        await attempts.take(nonce, browser, user)
    with pytest.raises(NonceRefused, match="used"):
        await attempts.take(nonce, browser, USER)


@pytest.mark.parametrize(
    ("asked_for", "user"),
    [
        pytest.param(ADA, USER, id="email"),
        pytest.param(Contact("phone", "+14155550100"), User("i", phone="+14155550100"), id="phone"),
        pytest.param(
            Contact("phone", "+14155550100"), User("i", "a@b.c", phone="+14155550100"), id="both"
        ),
        pytest.param(ADA, User("i"), id="a-user-without-an-address"),
        pytest.param(Contact("issuer", "did:ethr:0xad"), USER, id="a-renewal"),
    ],
)
async def test_addresses_that_fit(attempts: RedisAttempts, asked_for: Contact, user: User) -> None:
    """Any that Magic knows of the user; any at all, where it knows none."""
    nonce, browser = await attempts.begin(asked_for, "")
    await attempts.take(nonce, browser, user)


@pytest.mark.parametrize("made_up", ["", "x", "A" * 43, "A" * 10_000, "\u00e9" * 43, "a\r\nDEL x"])
async def test_made_up_nonces(attempts: RedisAttempts, made_up: str) -> None:
    """Unknown nonces are refused; what cannot be a nonce is not looked up."""
    _, browser = await attempts.begin(ADA, "")
    with pytest.raises(NonceRefused):
        await attempts.take(made_up, browser, USER)


async def test_a_nonce_ends(store: RedisStore, client: Redis) -> None:
    """By the store's clock, after as long as a link of Magic's."""
    attempts = RedisAttempts(store, HASHER)
    nonce, browser = await attempts.begin(ADA, "")
    key = await only_key(client)
    ends_s = await client.pexpiretime(key) / 1000
    assert abs(ends_s - time.time() - LIFETIME_S) < 5
    await client.pexpire(key, 1)
    async with asyncio.timeout(20):
        while await client.exists(key):
            await asyncio.sleep(0.005)
    with pytest.raises(NonceRefused):
        await attempts.take(nonce, browser, USER)


async def test_the_store_learns_nothing(attempts: RedisAttempts, client: Redis) -> None:
    """Neither the address, nor the nonce, nor the browser's secret."""
    nonce, browser = await attempts.begin(ADA, "")
    key = await only_key(client)
    record: Any = await client.get(key)
    seen = key + record
    for secret in (nonce, browser, "ada@", "example"):
        assert secret.encode() not in seen
    assert key.startswith(b"gw:login-nonce:")


async def test_what_was_planted_in_the_store_is_no_nonce(
    attempts: RedisAttempts, client: Redis
) -> None:
    """A record that is too short, no text, or of another kind, is no nonce."""
    nonce, browser = await attempts.begin(ADA, "")
    key = await only_key(client)
    whole: Any = await client.get(key)
    not_hex = whole[:64] + b"\xff" * 64 + whole[128:]
    for planted in (b"", whole[:64], whole[:127], whole[64:], not_hex):
        await client.set(key, planted)
        with pytest.raises(NonceRefused):
            await attempts.take(nonce, browser, USER)
