"""What hears of calls to other servers: the store, and Magic."""

import socket
from collections.abc import Iterator

import fakeredis
import pytest

from gateway.core.errors import MagicUnavailable, StoreUnavailable
from gateway.store.connect import redis_client
from gateway.store.redis import RedisStore
from gateway.users.magic_api import MagicApi
from gateway.util.call_watch import UNWATCHED, CallWatch
from tests.fakes.magic import SECRET_KEY, FakeMagic, Mood
from tests.fakes.tokens import ALICE


@pytest.fixture
def heard() -> list[float | str]:
    return []


@pytest.fixture
def watch(heard: list[float | str]) -> CallWatch:
    return CallWatch(heard.append, lambda: heard.append("failed"))


@pytest.fixture
def silent_url() -> Iterator[str]:
    """Of a server that answers nothing."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield f"redis://127.0.0.1:{server.getsockname()[1]}"


async def test_each_exchange_with_the_store_is_heard_of_once(
    heard: list[float | str], watch: CallWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that succeeded with its time; a caller who is refused at once made none."""
    store = RedisStore(fakeredis.FakeAsyncRedis(), "", 60, watch=watch)
    assert await store.get("k") is None
    [took_s] = heard
    assert isinstance(took_s, float)
    assert 0 < took_s < 60
    monkeypatch.setattr(store._lines, "execute", None)
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await store.set("k", b"v", expires_at_ms=4_000_000_000_000)
    assert [took_s, "failed"] == heard
    await store.aclose()


async def test_an_exchange_that_took_too_long_failed_once(
    heard: list[float | str], watch: CallWatch, silent_url: str
) -> None:
    """Its end, which the time-out brings about, is not another failure."""
    store = RedisStore(redis_client(silent_url, 1), "", 0.02, watch=watch)
    with pytest.raises(StoreUnavailable):
        await store.get("k")
    await store.aclose()
    assert ["failed"] == heard


async def test_each_call_to_magic_is_heard_of_once(
    heard: list[float | str], watch: CallWatch
) -> None:
    """One that was answered with its time; while calls are paused, none is made."""
    fake = FakeMagic()
    fake.add_user(ALICE.issuer, "alice@example.com")
    async with fake.serving() as url, MagicApi(SECRET_KEY, url, watch=watch) as api:
        assert await api.user(ALICE.issuer) is not None
        [took_s] = heard
        assert isinstance(took_s, float)
        fake.mood = Mood.BROKEN
        for _ in range(9):
            with pytest.raises(MagicUnavailable):
                await api.user(ALICE.issuer)
        assert not api.is_up
    assert [took_s, *["failed"] * 5] == heard


def test_nothing_has_to_listen() -> None:
    """Commands count nothing."""
    assert (None, None) == (UNWATCHED.answered(1.0), UNWATCHED.failed())
