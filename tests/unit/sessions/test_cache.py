"""The cache of sessions."""

from dataclasses import replace
from itertools import pairwise

import pytest

from gateway.core.identity import AuthMethod, Identity, User
from gateway.sessions.cache import CachedSession, SessionCache

NOW_S = 1000.0


def identity(name: str, ends_s: float = NOW_S + 3600) -> Identity:
    user = User(f"did:ethr:{name}")
    return Identity(user, AuthMethod.SESSION, "tid", int(ends_s * 1000), f"session:{name}")


def session(name: str, ends_s: float = NOW_S + 3600) -> CachedSession:
    known = identity(name, ends_s)
    return CachedSession(known, known.user, b"digest")


@pytest.mark.parametrize(
    ("after_s", "is_known"),
    [
        pytest.param(0, True, id="at-once"),
        pytest.param(0.999, True, id="within-a-second"),
        pytest.param(1, False, id="after-a-second"),
        pytest.param(-1, False, id="a-clock-that-was-set-back"),
    ],
)
def test_a_session_is_fresh_for_a_second(after_s: float, is_known: bool) -> None:
    """Then the store is asked again."""
    cache = SessionCache()
    cache.put("cookie", session("a"), NOW_S)

    assert is_known == (cache.get("cookie", NOW_S + after_s) is not None)


def test_sessions_of_one_moment_do_not_go_stale_in_one_moment() -> None:
    """Their next look-ups are spread over the last quarter of the second, and none comes later."""
    cache = SessionCache()
    for number in range(200):
        cache.put(str(number), session(str(number)), NOW_S)

    def fresh(after_s: float) -> int:
        return sum(cache.get(str(number), NOW_S + after_s) is not None for number in range(200))

    assert 200 == fresh(0.75)
    for before, after in pairwise(map(fresh, (0.75, 0.8, 0.85, 0.9, 0.95, 1.0))):
        assert 36 <= before - after <= 44
    assert 0 == fresh(1.0)


def test_no_entry_outlives_its_session() -> None:
    """Even a fresh one."""
    cache = SessionCache()
    cache.put("cookie", session("a", ends_s=NOW_S + 0.5), NOW_S)

    assert cache.get("cookie", NOW_S + 0.499)
    assert cache.get("cookie", NOW_S + 0.5) is None


def test_memory_is_bounded() -> None:
    """The session used least recently is evicted."""
    cache = SessionCache(max_sessions=2)
    cache.put("old", session("old"), NOW_S)
    cache.put("used", session("used"), NOW_S)
    assert cache.get("old", NOW_S)
    cache.put("new", session("new"), NOW_S)

    assert [True, False, True] == [
        cache.get(cookie, NOW_S) is not None for cookie in ("old", "used", "new")
    ]
    assert 2 == len(cache._cookies)


def test_a_session_can_be_dropped_by_its_key() -> None:
    """Invalidations name the key, not the cookie."""
    cache = SessionCache()
    cache.put("cookie", session("a"), NOW_S)

    cache.drop("session:a")
    cache.drop("session:never-seen")

    assert cache.get("cookie", NOW_S) is None


def test_all_sessions_can_be_marked_stale() -> None:
    """They can still be recalled."""
    cache = SessionCache(grace_s=30)
    cache.put("cookie", session("a"), NOW_S)

    cache.mark_all_stale()

    assert cache.get("cookie", NOW_S) is None
    assert cache.recall("cookie", NOW_S) == identity("a")


@pytest.mark.parametrize(
    ("after_s", "is_known"),
    [
        pytest.param(0, True, id="at-once"),
        pytest.param(29.999, True, id="within-the-grace"),
        pytest.param(30, False, id="after-it"),
        pytest.param(-1, False, id="a-clock-that-was-set-back"),
    ],
)
def test_stale_sessions_can_be_recalled_for_the_grace_period(
    after_s: float, is_known: bool
) -> None:
    """It begins at the look-up, not at the last use."""
    cache = SessionCache(grace_s=30)
    cache.put("cookie", session("a"), NOW_S)
    cache.get("cookie", NOW_S + 0.5)

    assert is_known == (cache.recall("cookie", NOW_S + after_s) is not None)
    assert cache.recall("another", NOW_S) is None


def test_no_session_is_recalled_past_its_end() -> None:
    """However long the grace period is."""
    cache = SessionCache(grace_s=30)
    cache.put("cookie", session("a", ends_s=NOW_S + 5), NOW_S)

    assert cache.recall("cookie", NOW_S + 4.999)
    assert cache.recall("cookie", NOW_S + 5) is None


def test_without_a_grace_period_no_session_is_recalled() -> None:
    """It can be switched off."""
    cache = SessionCache()
    cache.put("cookie", session("a"), NOW_S)

    assert cache.recall("cookie", NOW_S) is None


def test_all_sessions_of_an_issuer_can_be_dropped() -> None:
    """Those of other issuers stay."""
    cache = SessionCache(grace_s=30)
    cache.put("one", session("a"), NOW_S)
    second = replace(identity("a"), session_key="session:a2")
    cache.put("two", CachedSession(second, second.user, b"digest"), NOW_S)
    cache.put("other", session("b"), NOW_S)

    cache.drop_issuer("did:ethr:a")
    cache.drop_issuer("did:ethr:unknown")

    known = [cache.recall(cookie, NOW_S) is not None for cookie in ("one", "two", "other")]
    assert [False, False, True] == known
    assert ["did:ethr:b"] == list(cache._of_issuer)


def test_the_sessions_of_an_issuer_are_dropped_one_by_one() -> None:
    """Dropping one leaves the others of the issuer known as its own."""
    cache = SessionCache()
    for number in range(3):
        known = replace(identity("a"), session_key=f"session:{number}")
        cache.put(f"cookie-{number}", CachedSession(known, known.user, b"digest"), NOW_S)

    cache.drop("session:1")

    assert {"did:ethr:a": ("cookie-0", "cookie-2")} == cache._of_issuer
    cache.drop_issuer("did:ethr:a")
    assert 0 == len(cache._sessions) == len(cache._cookies) == len(cache._of_issuer)


def test_a_stale_session_is_known_until_it_is_dropped() -> None:
    """Session and epoch can then be looked up together, and the record need not be opened."""
    cache = SessionCache()
    cached = session("a")
    cache.put("cookie", cached, NOW_S)

    assert cached is cache.peek("cookie")
    cache.drop_cookie("cookie")
    cache.drop_cookie("cookie")
    assert cache.peek("cookie") is None


def test_a_session_that_is_looked_up_again_is_fresh_again() -> None:
    """Its entry stays, and counts as used."""
    cache = SessionCache(max_sessions=2)
    cached = session("a")
    cache.put("cookie", cached, NOW_S)
    cache.put("other", session("b"), NOW_S)

    cache.put("cookie", cached, NOW_S + 5)
    cache.put("third", session("c"), NOW_S + 5)

    assert cached.identity is cache.get("cookie", NOW_S + 5.749)
    assert cache.get("cookie", NOW_S + 6) is None
    assert [True, False, True] == [
        cache.peek(name) is not None for name in ("cookie", "other", "third")
    ]
