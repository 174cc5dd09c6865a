"""
Tell systemd how the service is, by the protocol of sd_notify(3).

Without ``$NOTIFY_SOCKET`` nothing is told. A message that cannot be sent is dropped: the service
manager notices by its own time-outs, and clients must not.
"""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager

from gateway.util.background import background

IsAlive = Callable[[], Awaitable[bool]]

_TELL, _ASK_AGAIN = 0.5, 0.05
"""Parts of the watchdog's time: one answer that is late must not end the service."""

_log = logging.getLogger("gateway")


class ServiceManager:
    """Sends the state of this process to the service manager that has started it."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self._watchdog_s = _watchdog_s(environ)
        self._has_failed = False

    def ready(self, status: str = "serving") -> None:
        """Say that the service has started, or goes on after a reload."""
        self._send("READY=1", f"STATUS={status}")

    @contextmanager
    def reloading(self) -> Iterator[None]:
        """Say that a reload begins, and how it has ended."""
        now_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send("RELOADING=1", f"MONOTONIC_USEC={now_us}", "STATUS=reading the config again")
        status = "serving by the config before: the last reload was refused"
        try:
            yield
            status = "serving"
        finally:
            self.ready(status)

    def stopping(self, drain_s: float) -> None:
        """Say that the service ends, within ``drain_s`` and what it takes to close."""
        self._send("STOPPING=1", f"STATUS=draining for {drain_s:g} s at most")

    def watched(self, is_alive: IsAlive) -> AbstractAsyncContextManager[None]:
        """
        Tell the watchdog within the context that the service is alive, while ``is_alive`` says so.

        A loop that stands still tells nothing, and systemd restarts the service (``WatchdogSec=``).
        """
        return background(self._keep_telling(is_alive))

    async def _keep_telling(self, is_alive: IsAlive) -> None:
        while self._watchdog_s:
            is_told = await is_alive()
            if is_told:
                self._send("WATCHDOG=1")
            await asyncio.sleep(self._watchdog_s * (_TELL if is_told else _ASK_AGAIN))

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.setblocking(False)
                sender.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            if not self._has_failed:
                _log.warning("the service manager is not told: %s", error.strerror)
            self._has_failed = True


def _address(written: str) -> str:
    """Return the address of a socket; ``@`` begins one in the abstract namespace."""
    if written.startswith("@"):
        return f"\0{written[1:]}"
    return written if written.startswith("/") else ""


def _watchdog_s(environ: Mapping[str, str]) -> float:
    """Return the time within which the watchdog wants to be told; 0 where it does not watch us."""
    period_us, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    is_for_us = not pid or pid == str(os.getpid())
    return int(period_us) / 1e6 if is_for_us and period_us.isascii() and period_us.isdigit() else 0
