"""When a worker is started again."""

import pytest

from gateway.runtime.cpu_count import cpu_count
from gateway.util.backoff import Backoff


def test_it_waits_longer_each_time() -> None:
    """From a tenth of a second to ten seconds, and no longer."""
    backoff = Backoff()
    waits_s = [backoff.after(1.0) for _ in range(9)]
    assert [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0] == waits_s


def test_a_long_life_is_forgiven() -> None:
    """A worker that has served for a minute starts at once, like one that failed for the first."""
    backoff = Backoff()
    lives_s = [1.0, 1.0, 60.0, 1.0]
    assert [0.1, 0.2, 0.1, 0.2] == [backoff.after(lived_s) for lived_s in lives_s]


@pytest.mark.parametrize(
    ("cpu_max", "expected"),
    [
        pytest.param("max 100000\n", 8, id="no quota"),
        pytest.param("200000 100000\n", 2, id="two"),
        pytest.param("150000 100000\n", 2, id="one and a half"),
        pytest.param("5000 100000\n", 1, id="a slice of one"),
        pytest.param("9000000 100000\n", 8, id="more than there are"),
        pytest.param("", 8, id="no file"),
        pytest.param("1000 0", 8, id="no period"),
    ],
)
def test_cores(cpu_max: str, expected: int) -> None:
    """As many as may run at one time: containers often see all cores and may use few."""
    assert expected == cpu_count(8, cpu_max)
