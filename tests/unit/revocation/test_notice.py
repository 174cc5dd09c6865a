"""What is told of sessions that were ended."""

import pytest

from gateway.core.event import EventType
from gateway.revocation.notice import end_notice, revocation_notice, to_be_told
from tests.fakes.hooks import ADA, FakeEvents
from tests.fakes.ports import Diary, KnownSessions


def test_the_end_of_one_session_has_its_id() -> None:
    """And counts one."""
    notice = end_notice(ADA, "signed-out", "id-1")
    assert (EventType.SESSION_REVOKED, ADA) == (notice.kind, notice.subject)
    assert {"reason": "signed-out", "sessions": 1, "session": "id-1"} == notice.data


def test_a_revocation_counts_what_was_listed() -> None:
    """Not known is not none."""
    told = [
        revocation_notice(ADA, "revoked", None).data,
        revocation_notice(ADA, "revoked", []).data,
    ]
    assert [None, 0] == [data["sessions"] for data in told]


@pytest.mark.parametrize("is_wanted", [True, False])
async def test_sessions_are_listed_for_an_endpoint_alone(is_wanted: bool) -> None:
    """Without one, a revocation asks nothing before it revokes."""
    diary: Diary = []
    wanted = frozenset({EventType.SESSION_REVOKED}) if is_wanted else frozenset[EventType]()
    listed = await to_be_told(KnownSessions(diary, {}), FakeEvents(wanted), ADA)
    assert (listed == [], bool(diary)) == (is_wanted, is_wanted)
    assert await to_be_told(KnownSessions([], {}), None, ADA) is None


async def test_a_list_that_cannot_be_read_fails_nothing() -> None:
    """The revocation goes on without."""
    sessions = KnownSessions([], {})
    sessions.is_list_down = True
    assert await to_be_told(sessions, FakeEvents(), ADA) is None
