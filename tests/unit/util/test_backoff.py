"""The wait before a worker is restarted."""

from gateway.util.backoff import Backoff, jittered_s


def test_the_wait_doubles() -> None:
    """It grows from a tenth of a second to ten seconds."""
    backoff = Backoff()
    waits_s = [backoff.after(1.0) for _ in range(9)]
    assert [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0] == waits_s


def test_a_long_life_resets_the_wait() -> None:
    """A worker that has served for a minute is restarted at once, as after its first failure."""
    backoff = Backoff()
    lives_s = [1.0, 1.0, 60.0, 1.0]
    assert [0.1, 0.2, 0.1, 0.2] == [backoff.after(lived_s) for lived_s in lives_s]


def test_the_part_of_a_jittered_wait_is_drawn() -> None:
    """The whole doubles with each trial, up to the longest."""
    assert [0.02, 0.04, 0.08, 2.0] == [jittered_s(trial, 1.0) for trial in (0, 1, 2, 30)]
    assert (0.0, 0.04) == (jittered_s(3, 0.0), jittered_s(2, 0.5))
