"""Count the cores that this process may use."""


def cpu_count(allowed: int, cpu_max: str) -> int:
    """
    Return how many cores may be used at one time, at least 1.

    ``allowed`` are those that the scheduler may choose from; ``cpu_max`` is the file of that name
    of a control group (cgroup v2): microseconds of all cores, in a period of so many, or ``max``.
    """
    quota_us, _, period_us = cpu_max.strip().partition(" ")
    if not quota_us.isdecimal() or not period_us.isdecimal() or not int(period_us):
        return allowed
    return min(allowed, max(1, -(-int(quota_us) // int(period_us))))
