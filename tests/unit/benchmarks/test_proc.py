"""Parsing of /proc, as proc(5) describes it."""

import os
import subprocess
import sys

import pytest

from benchmarks import proc

FIELDS = " ".join(str(number) for number in range(4, 53))
"""The fields of /proc/PID/stat from the fourth on, each with its own number as its value."""


@pytest.mark.parametrize("name", ["gateway", "a b", "(sd-pam)", ") 1 2", ""])
def test_a_name_cannot_shift_the_fields(name: str) -> None:
    """Fields are counted from the end of the name, which may contain spaces and parentheses."""
    assert proc.cpu_ticks(f"4711 ({name}) S {FIELDS}\n") == 14 + 15


def test_core_ticks() -> None:
    """Idle time and waiting for disks do not count, and the time of guests counts once."""
    stat = "cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 1 2 4 8 16 32 64 128 256 512\ncpu1 0 0 0 7 0 0 0 0 0 0\n"
    assert proc.core_ticks(stat, 0) == 1 + 2 + 4 + 32 + 64 + 128
    assert proc.core_ticks(stat, 1) == 0


def test_a_missing_core() -> None:
    """A core that is offline has no line, which is an error."""
    with pytest.raises(ValueError, match="no core 1"):
        proc.core_ticks("cpu0 1 2 4 8 16 32 64 128\n", 1)


def test_resident_bytes() -> None:
    """VmRSS is in kibibytes, and is not confused with other lines."""
    assert proc.resident_bytes("Name:\tx\nVmHWM:\t 9 kB\nVmRSS:\t   2048 kB\n") == 2048 * 1024


def test_a_dead_process_has_no_memory() -> None:
    """The status of a zombie has no memory lines."""
    assert proc.resident_bytes("Name:\tx\nState:\tZ (zombie)\n") == 0


def test_this_process() -> None:
    """The texts of the running kernel can be parsed."""
    pid = os.getpid()
    assert proc.cpu_s(pid) > 0
    assert proc.rss_bytes(pid) > 1024 * 1024
    assert proc.core_s(min(os.sched_getaffinity(0))) > 0


def test_family_of_a_process() -> None:
    """A family is a process and its descendants; a process that has ended has none."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert {os.getpid(), child.pid} <= set(proc.family(os.getpid()))
    child.communicate()
    assert proc.family(child.pid) == []
