"""Attempts while the store does not answer."""

import pytest

from gateway.core.errors import StoreUnavailable
from gateway.core.identity import User
from gateway.login_attempts.contact import Contact, ContactHasher
from gateway.login_attempts.redis import RedisAttempts
from tests.fakes.memory import FakeClock
from tests.fakes.store import FakeStore

ADA = Contact("email", "ada@example.com")


async def test_no_store_no_nonce() -> None:
    """Unknown is never taken for good: who cannot be remembered is told to come back."""
    clock = FakeClock()
    store = FakeStore(clock)
    attempts = RedisAttempts(store, ContactHasher((b"k" * 32,)), clock)
    begun = await attempts.begin(ADA, "")
    store.is_down = True
    with pytest.raises(StoreUnavailable):
        await attempts.begin(ADA, "")
    with pytest.raises(StoreUnavailable):
        await attempts.take(*begun, User("i", "ada@example.com"))
