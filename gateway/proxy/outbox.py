"""
Heads are written together, at the end of a turn of the loop.

Each write to a socket wakes whoever waits at its other end. Written one by one, between the work
on two requests, each one wakes an app that has gone to sleep again. Together they cost a sixth less
CPU a request (64 connections, measured side by side on one machine).
"""

import asyncio


class Outbox:
    """What is to be written soon; the order of each connection is kept."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._due: list[tuple[asyncio.Transport, bytes]] = []

    def write_soon(self, transport: asyncio.Transport, data: bytes) -> None:
        """Write ``data`` when the tasks that can run now have run."""
        if not self._due:
            self._loop.call_soon(self.flush)
        self._due.append((transport, data))

    def write(self, transport: asyncio.Transport, data: bytes) -> None:
        """Write ``data`` now, after what is due: for bodies, whose reader may fall behind."""
        if self._due:
            self.flush()
        transport.write(data)

    def flush(self) -> None:
        """Write what is due; before a connection is closed."""
        due, self._due = self._due, []
        for transport, data in due:
            if not transport.is_closing():
                try:  # noqa: SIM105 - a context manager costs 0.3 µs, twice a request
                    transport.write(data)
                except RuntimeError:
                    pass  # uvloop's word for one that closed just now
