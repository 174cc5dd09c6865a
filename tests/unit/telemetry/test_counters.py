"""What is counted."""

from gateway.core.reasons import Rights
from gateway.telemetry.counters import FIGURES, LEVELS, Tally


def test_events_add_up() -> None:
    """Each event counts once, under its figure and label."""
    tally = Tally()
    tally.add("tunnels")
    tally.add("tunnels_ended", "expired")
    tally.add("tunnels_ended", "expired")
    assert tally.counts == {("tunnels", ""): 1, ("tunnels_ended", "expired"): 2}


def test_no_figure_stands_twice() -> None:
    """The table names each figure once."""
    names = [figure.name for figure in (*FIGURES, *LEVELS)]
    assert sorted(set(names)) == sorted(names)


def test_reasons_are_counted_where_they_are_words() -> None:
    """A phrase is no label: there is no end of phrases."""
    tally = Tally()
    tally.request(403, "forbidden", 0.1, Rights.DENIED)
    tally.request(400, "bad_request", 0.1, "a phrase")
    tally.request(200, "", 0.1)
    assert {("refusal_reasons", "denied"): 1} == {
        figure: count for figure, count in tally.counts.items() if figure[0] == "refusal_reasons"
    }
