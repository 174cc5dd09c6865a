"""Scripts are put together from the arithmetic of an algorithm and what charges by it."""

import pytest

from gateway.ratelimit.algorithm import ALGORITHMS
from gateway.ratelimit.lua import charge_all, charge_each, read

NAMES = [algorithm.name for algorithm in ALGORITHMS.values()]


@pytest.mark.parametrize("name", NAMES)
def test_a_script_charges_by_one_algorithm(name: str) -> None:
    """Its text is that of both files, and nothing else is in it."""
    script = charge_each(name)
    assert script.startswith(read(name))
    assert script.endswith(read("charge_each"))
    assert all(other not in script for other in NAMES if other != name and other not in read(name))


def test_one_script_charges_by_all_of_them() -> None:
    """In the order in which they are named."""
    script = charge_all(NAMES)
    assert all(read(name) in script for name in NAMES)
    assert "local algorithms = {sliding_window, fixed_window, token_bucket}" in script
    assert script.endswith(read("charge_all"))


@pytest.mark.parametrize("name", [*NAMES, "charge_each", "charge_all", "census"])
def test_a_script_begins_by_saying_what_it_gets(name: str) -> None:
    """Its first comment names keys or arguments, and the units."""
    comment = read(name).split("\n\nlocal")[0]
    assert all(line.startswith("--") for line in comment.splitlines() if line)
    assert "ARGV" in comment
    assert "millisecond" in comment
