"""
Batched writes: heads are written together, at the end of an iteration of the event loop.

Each write to a socket wakes the process at its other end. If heads were written one by one, between
the work on two requests, each would wake an app that has gone to sleep again. Batched, a request
costs a sixth less CPU (64 connections, both sides on one machine).

When batches seldom hold more than one head, batching only adds latency. Then heads are written at
once, and one in `_IMMEDIATE` waits, to find out whether that is still so.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

_IMMEDIATE = 16


class WriteBatcher:
    """Writes to transports soon; keeps the order of each connection."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._pending: list[tuple[asyncio.Transport, bytes]] = []
        self._immediate_left = 0
        """How many heads are written at once before one waits again."""

    def write_soon(self, transport: asyncio.Transport, data: bytes) -> None:
        """Write ``data`` when the tasks that can run now have run, or at once; see the module."""
        if self._immediate_left and not self._pending:
            self._immediate_left -= 1
            self._write(transport, data)
            return
        if not self._pending:
            self._loop.call_soon(self.flush)
        self._pending.append((transport, data))

    def write(self, transport: asyncio.Transport, data: bytes) -> None:
        """Write ``data`` now, after what is pending: for bodies, whose reader may be slower."""
        if self._pending:
            self.flush()
        transport.write(data)

    def write_all(self, transport: asyncio.Transport, parts: Sequence[bytes]) -> None:
        """Write ``parts`` now, in one system call, after what is pending."""
        if self._pending:
            self.flush()
        if not transport.is_closing():
            with suppress(RuntimeError):  # as in `_write`
                transport.writelines(parts)

    def flush(self) -> None:
        """Write what is pending; to be called before a connection is closed."""
        pending, self._pending = self._pending, []
        if len(pending) <= 1:
            self._immediate_left = _IMMEDIATE
        for transport, data in pending:
            self._write(transport, data)

    def _write(self, transport: asyncio.Transport, data: bytes) -> None:
        if not transport.is_closing():
            try:  # noqa: SIM105 - a context manager costs 0.3 µs, twice a request
                transport.write(data)
            except RuntimeError:
                pass  # uvloop raises it for a transport that has just closed
