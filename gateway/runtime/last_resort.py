"""The end of a process that was told to end and does not, whatever it waits for."""

import logging
import os
import threading
from collections.abc import Callable

from gateway.telemetry import logs

STATUS = 70
"""EX_SOFTWARE of sysexits.h: not the status of a gateway that was stopped, or could not start."""

WORKER_S, PROCESS_S = 3.0, 4.0
"""Time beyond that to drain: a supervisor ends after its workers, and the log takes a second."""

_log = logging.getLogger("gateway")


class LastResort:
    """
    Ends the process from a thread of its own: a loop that stands still, or a thread that a library
    waits for, does not keep it.
    """

    def __init__(self, beyond_s: float, end: Callable[[], object] | None = None) -> None:
        """``end`` is called when the time is over; it ends the process where it is absent."""
        self._beyond_s = beyond_s
        self._end = _end_process if end is None else end

    def begin(self, drain_s: float) -> None:
        """End the process ``beyond_s`` after a drain of ``drain_s`` should be over."""
        timer = threading.Timer(drain_s + self._beyond_s, self._end)
        timer.daemon = True
        timer.start()


def _end_process() -> None:
    _log.critical("not ended in time: ending now")
    logs.flush()
    os._exit(STATUS)
