"""Counts of events."""

from gateway.core.reasons import ForbiddenReason
from gateway.telemetry.counters import Counters
from gateway.telemetry.metrics import REFUSAL_REASONS, RELOADS, TUNNELS, TUNNELS_ENDED


def test_events_add_up() -> None:
    """Each event counts once, under its metric and label."""
    counters = Counters()
    counters.add(TUNNELS)
    counters.add(TUNNELS_ENDED, "expired")
    counters.add(TUNNELS_ENDED, "expired")
    assert counters.counts == {(TUNNELS, ""): 1, (TUNNELS_ENDED, "expired"): 2}


def test_a_metric_is_bound_for_a_room_that_knows_none() -> None:
    """With a label and without."""
    counters = Counters()
    counters.events(TUNNELS)()
    counters.labelled_events(RELOADS)("applied")
    assert counters.counts == {(TUNNELS, ""): 1, (RELOADS, "applied"): 1}


def test_reasons_are_counted_where_they_are_words() -> None:
    """A phrase is no label: there is no end of phrases."""
    counters = Counters()
    counters.request(403, "forbidden", 0.1, ForbiddenReason.DENIED)
    counters.request(400, "bad_request", 0.1, "a phrase")
    counters.request(200, "", 0.1)
    assert {(REFUSAL_REASONS, "denied"): 1} == {
        key: count for key, count in counters.counts.items() if key[0] is REFUSAL_REASONS
    }
