"""A mapping of bounded size."""

from gateway.util.lru import LruCache


def test_the_least_recently_used_entry_is_evicted() -> None:
    """Entries that were read or written last stay."""
    kept: LruCache[str, int] = LruCache(2)
    kept.put("a", 1)
    kept.put("b", 2)
    assert kept.get("a") == 1
    kept.put("c", 3)
    assert len(kept) == 2
    assert [kept.get(key) for key in "abc"] == [1, None, 3]


def test_a_key_has_one_value() -> None:
    """Writing a key again replaces its value."""
    kept: LruCache[str, int] = LruCache(2)
    for value in range(5):
        kept.put("a", value)
    assert (len(kept), kept.get("a")) == (1, 4)


def test_forget() -> None:
    """A forgotten entry is gone; to forget an unknown key is no error."""
    kept: LruCache[str, int] = LruCache(2)
    kept.put("a", 1)
    kept.forget("a")
    kept.forget("a")
    assert kept.get("a") is None


def test_peek_does_not_count_as_use() -> None:
    """An entry that was only peeked at is evicted as if it had not been read."""
    kept: LruCache[str, int] = LruCache(2)
    kept.put("a", 1)
    kept.put("b", 2)
    assert [kept.peek(key) for key in "ax"] == [1, None]
    kept.put("c", 3)
    assert [kept.peek(key) for key in "abc"] == [None, 2, 3]


def test_touch_counts_as_use() -> None:
    """An entry that was touched stays."""
    kept: LruCache[str, int] = LruCache(2)
    kept.put("a", 1)
    kept.put("b", 2)
    kept.touch("a")
    kept.put("c", 3)
    assert [kept.peek(key) for key in "abc"] == [1, None, 3]


def test_removed_entries_are_returned() -> None:
    """An owner that keeps other records of an entry learns what to remove from them."""
    kept: LruCache[str, int] = LruCache(1)
    assert kept.put("a", 1) is None
    assert kept.put("b", 2) == ("a", 1)
    assert [kept.forget("b"), kept.forget("b")] == [2, None]


def test_items_and_values() -> None:
    """The entries come in the order in which they would be evicted."""
    kept: LruCache[str, int] = LruCache(3)
    for value, key in enumerate("abc"):
        kept.put(key, value)
    kept.get("a")
    assert kept.items() == (("b", 1), ("c", 2), ("a", 0))
    assert [1, 2, 0] == list(kept.values())


def test_clear() -> None:
    """Nothing is left, and the cache goes on working."""
    kept: LruCache[str, int] = LruCache(1)
    kept.put("a", 1)
    kept.clear()
    assert (len(kept), kept.peek("a")) == (0, None)
    kept.put("b", 2)
    assert kept.peek("b") == 2
