"""The last refusals of a process."""

from typing import Any

from gateway.telemetry.access_line import ACCESS_FIELDS, Values
from gateway.telemetry.refusal_ring import RefusalRing


def _refused(second: int, refusal: str = "forbidden", **more: Any) -> dict[str, Any]:
    return {"time": f"2026-01-01T00:00:{second:02}.000Z", "refusal": refusal, **more}


def _values(members: dict[str, Any]) -> Values:
    return tuple(members.get(name) for name in ACCESS_FIELDS)


def test_the_last_refusals_are_kept() -> None:
    """As many as were asked for: an attacker cannot fill the memory."""
    ring = RefusalRing(3)
    for second in range(10):
        ring.note(_values(_refused(second)))
    assert [_refused(7), _refused(8), _refused(9)] == ring.since("")
    assert [_refused(9)] == ring.since("2026-01-01T00:00:09.000Z")


def test_a_client_that_has_left_was_not_refused() -> None:
    """Many that leave would take the place of those that were."""
    ring = RefusalRing()
    ring.note(_values(_refused(1, "client_gone")))
    assert [] == ring.since("")


def test_what_is_no_character_is_shown_as_such() -> None:
    """The path is what a client has sent."""
    ring = RefusalRing()
    ring.note(_values(_refused(1, path="/a\udc80")))
    assert [_refused(1, path=r"/a\udc80")] == ring.since("")
