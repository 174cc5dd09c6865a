"""A store that is read and never written."""

import pytest

from gateway.core.errors import StoreUnavailable
from gateway.core.ports import Script
from gateway.explain.read_only import ReadOnlyStore, UnreachableStore
from tests.fakes.store import FakeStore

READ, WRITE = Script("read", ""), Script("swap", "")


def stores() -> tuple[FakeStore, ReadOnlyStore]:
    """A store that holds one value, and what reads it."""
    inner = FakeStore(lambda: 1.0, {"read": lambda _keys, _args: b"found"})
    inner.values["a"] = b"1", 2000
    return inner, ReadOnlyStore(inner)


async def test_reads_reach_the_store() -> None:
    """All kinds of them."""
    _, store = stores()
    assert b"1" == await store.get("a")
    assert (b"1", None) == await store.get_pair("a", "b")
    assert b"found" == await store.run(READ, ["a"], [])
    assert 0 == store.slot_of("a")
    await store.ping()
    assert store.failure is None


async def test_writes_do_not_reach_it_and_look_as_if_they_had() -> None:
    """So that what asks goes on as it would."""
    inner, store = stores()
    await store.set("b", b"2", expires_at_ms=3000)
    assert [False, True] == [await store.add(key, b"", expires_at_ms=1) for key in ("a", "b")]
    assert [True, False] == [await store.delete(key) for key in ("a", "b")]
    assert 0 == await store.run(WRITE, ["a"], [])
    await store.publish("channel", b"message")
    await store.aclose()
    assert {"a": (b"1", 2000)} == inner.values
    assert {"get"} == {command for command, _ in inner.asked}
    assert not inner.is_down


async def test_the_first_failure_is_kept() -> None:
    """Until it is forgotten; its reason is told of those after it, which are not asked for one."""
    inner, store = stores()
    inner.is_down = True
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await store.get("a")
    first = store.failure
    assert first is not None
    assert ("is down", None) == (str(first), first.__traceback__)
    store.forget_failure()
    assert store.failure is None
    with pytest.raises(StoreUnavailable):
        await store.get("a")
    assert first is store.failure


async def test_a_store_that_is_not_there_answers_nothing() -> None:
    """Whatever it is asked."""
    store = UnreachableStore("in the memory of another process")
    for asked in (
        store.get("a"),
        store.get_pair("a", "b"),
        store.set("a", b"", expires_at_ms=1),
        store.add("a", b"", expires_at_ms=1),
        store.delete("a"),
        store.run(READ, [], []),
        store.publish("a", b""),
        store.ping(),
    ):
        with pytest.raises(StoreUnavailable, match="another process"):
            await asked
    assert 0 == store.slot_of("a")
    await store.aclose()
