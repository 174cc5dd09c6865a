"""The number of CPUs that workers may use."""

import pytest

from gateway.runtime.cpu_count import cpu_count


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
def test_cpu_count(cpu_max: str, expected: int) -> None:
    """Containers often see all CPUs, and may use few: the quota of the cgroup counts."""
    assert expected == cpu_count(8, cpu_max)
