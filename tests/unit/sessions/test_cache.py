"""How long a session is trusted without asking."""

import pytest

from gateway.messages import AuthMethod, Identity, User
from gateway.sessions.cache import SessionCache

NOW_S = 1000.0


def identity(name: str, ends_s: float = NOW_S + 3600) -> Identity:
    user = User(f"did:ethr:{name}")
    return Identity(user, AuthMethod.SESSION, "tid", int(ends_s * 1000), f"session:{name}")


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
    cache.put("cookie", identity("a"), NOW_S)

    assert is_known == (cache.get("cookie", NOW_S + after_s) is not None)


def test_nobody_is_remembered_past_the_sessions_end() -> None:
    """However fresh it is."""
    cache = SessionCache()
    cache.put("cookie", identity("a", ends_s=NOW_S + 0.5), NOW_S)

    assert cache.get("cookie", NOW_S + 0.499)
    assert cache.get("cookie", NOW_S + 0.5) is None


def test_memory_is_bounded() -> None:
    """Of too many sessions the one used least recently is forgotten."""
    cache = SessionCache(max_sessions=2)
    cache.put("old", identity("old"), NOW_S)
    cache.put("used", identity("used"), NOW_S)
    assert cache.get("old", NOW_S)
    cache.put("new", identity("new"), NOW_S)

    assert [True, False, True] == [
        cache.get(cookie, NOW_S) is not None for cookie in ("old", "used", "new")
    ]
    assert 2 == len(cache._cookies)


def test_a_session_can_be_forgotten() -> None:
    """By its key, as that is all that is known of it where it ends."""
    cache = SessionCache()
    cache.put("cookie", identity("a"), NOW_S)

    cache.drop("session:a")
    cache.drop("session:never-seen")

    assert cache.get("cookie", NOW_S) is None


def test_all_can_be_forgotten() -> None:
    """Where it is not known which sessions have ended."""
    cache = SessionCache()
    cache.put("cookie", identity("a"), NOW_S)

    cache.drop_all()

    assert cache.get("cookie", NOW_S) is None
