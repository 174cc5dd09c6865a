"""What holds for all tests."""

import os
import sys

import pytest
from hypothesis import HealthCheck, settings

from tests.fakes.free_port import TIME_WAIT_S, ports_are_left
from tests.fakes.timing import wait_until

# Tests start more than a hundred gateways, each a process of its own. Python keeps what it compiled
# for the next one: otherwise each of them takes twice as long to start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A property is about results; how long one example takes on a busy machine says nothing of it. The
# examples are the same in each run, so that no change is blamed for one that was found by chance;
# `--hypothesis-profile=searching` looks for others.
searching = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("searching", searching)
settings.register_profile("patient", searching, derandomize=True)
settings.load_profile("patient")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Keep tests that connect apart: a fast machine uses up all ports within a minute."""
    if "tests/unit/" not in item.nodeid:
        wait_until(ports_are_left, within_s=2 * TIME_WAIT_S)
