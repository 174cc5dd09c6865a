"""What is counted."""

from gateway.core.reasons import ForbiddenReason
from gateway.telemetry.counters import COUNTERS, GAUGES, Counters


def test_events_add_up() -> None:
    """Each event counts once, under its figure and label."""
    counters = Counters()
    counters.add("tunnels")
    counters.add("tunnels_ended", "expired")
    counters.add("tunnels_ended", "expired")
    assert counters.counts == {("tunnels", ""): 1, ("tunnels_ended", "expired"): 2}


def test_no_figure_stands_twice() -> None:
    """The table names each figure once."""
    names = [figure.name for figure in (*COUNTERS, *GAUGES)]
    assert sorted(set(names)) == sorted(names)


def test_reasons_are_counted_where_they_are_words() -> None:
    """A phrase is no label: there is no end of phrases."""
    counters = Counters()
    counters.request(403, "forbidden", 0.1, ForbiddenReason.DENIED)
    counters.request(400, "bad_request", 0.1, "a phrase")
    counters.request(200, "", 0.1)
    assert {("refusal_reasons", "denied"): 1} == {
        figure: count for figure, count in counters.counts.items() if figure[0] == "refusal_reasons"
    }
