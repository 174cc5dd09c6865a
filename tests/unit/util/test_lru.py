"""A mapping that cannot grow without end."""

from gateway.util.lru import LruCache


def test_least_recently_used_makes_room() -> None:
    """What was read or written last stays."""
    kept: LruCache[str, int] = LruCache(2)
    kept.put("a", 1)
    kept.put("b", 2)
    assert kept.get("a") == 1
    kept.put("c", 3)
    assert len(kept) == 2
    assert [kept.get(key) for key in "abc"] == [1, None, 3]


def test_writing_again_is_no_new_entry() -> None:
    """A key has one value, the last one."""
    kept: LruCache[str, int] = LruCache(2)
    for value in range(5):
        kept.put("a", value)
    assert (len(kept), kept.get("a")) == (1, 4)


def test_forget() -> None:
    """What was forgotten is gone, and forgetting what was never known is no error."""
    kept: LruCache[str, int] = LruCache(2)
    kept.put("a", 1)
    kept.forget("a")
    kept.forget("a")
    assert kept.get("a") is None
