"""CPU time and memory of processes, parsed from ``/proc`` (proc(5))."""

import os
from pathlib import Path

_AFTER_NAME = 3
"""The number of the first field after the name, counted from 1 as proc(5) does."""
_UTIME, _STIME = 14, 15
_IDLE, _IOWAIT, _GUEST = 3, 4, 8


def cpu_ticks(stat: str) -> int:
    """
    User and system time in ``/proc/PID/stat``, of all threads together, in clock ticks.

    The second field is the program's name in parentheses, which may itself hold spaces and
    parentheses: fields are counted from the last one.
    """
    fields = stat.rpartition(")")[2].split()
    return int(fields[_UTIME - _AFTER_NAME]) + int(fields[_STIME - _AFTER_NAME])


def core_ticks(stat: str, core: int) -> int:
    """
    Time in which ``core`` was not idle, in ``/proc/stat``, in clock ticks.

    The fields are user, nice, system, idle, iowait, irq, softirq, steal and the time of guests,
    which user and nice include.
    """
    for line in stat.splitlines():
        name, *fields = line.split()
        if name == f"cpu{core}":
            ticks = [int(field) for field in fields[:_GUEST]]
            return sum(ticks) - ticks[_IDLE] - ticks[_IOWAIT]
    raise ValueError(f"no core {core}")


def resident_bytes(status: str) -> int:
    """``VmRSS`` of ``/proc/PID/status``; 0 for a process that has no memory left."""
    for line in status.splitlines():
        name, _, value = line.partition(":")
        if name == "VmRSS":
            return int(value.split()[0]) * 1024
    return 0


def family(pid: int) -> list[int]:
    """List ``pid`` and its descendants."""
    try:
        children = _read(pid, f"task/{pid}/children").split()
    except OSError:  # the process has ended
        return []
    return [pid, *(member for child in children for member in family(int(child)))]


def cpu_s(pid: int) -> float:
    """CPU time of ``pid`` and its descendants with all their threads, in seconds."""
    ticks = sum(cpu_ticks(_read(member, "stat")) for member in family(pid))
    return ticks / os.sysconf("SC_CLK_TCK")


def core_s(core: int) -> float:
    """Time in which ``core`` was used by any program, in seconds."""
    return core_ticks(Path("/proc/stat").read_text("ascii"), core) / os.sysconf("SC_CLK_TCK")


def rss_bytes(pid: int) -> int:
    """Resident memory of ``pid`` and its descendants; shared memory counts for each of them."""
    return sum(resident_bytes(_read(member, "status")) for member in family(pid))


def _read(pid: int, name: str) -> str:
    return Path(f"/proc/{pid}/{name}").read_text("utf-8", "replace")
