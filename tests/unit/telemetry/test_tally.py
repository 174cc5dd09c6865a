"""What is counted."""

from gateway.telemetry.tally import FIGURES, LEVELS, Tally


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
