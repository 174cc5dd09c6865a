"""The audit log that is in use: none without a section of the config; a reload may replace it."""

import asyncio
from typing import Final

from gateway.audit.log import AuditLog
from gateway.core.audit import AuditEntry
from gateway.core.ports import AuditTrail


class AuditSwitch(AuditTrail):
    """The port `AuditTrail` over the present `AuditLog`, if there is one."""

    def __init__(self) -> None:
        self.log: AuditLog | None = None
        self._ending: set[asyncio.Task[None]] = set()

    @property
    def state(self) -> str:
        """``ok``, ``failing`` where the file takes no lines, or empty without an audit file."""
        if self.log is None:
            return ""
        return "failing" if self.log.is_failing else "ok"

    def require(self) -> None:
        if self.log is not None:
            self.log.require()

    async def write(self, entry: AuditEntry, *, may_refuse: bool = False) -> None:
        if self.log is not None:
            await self.log.write(entry, may_refuse=may_refuse)

    def note(self, entry: AuditEntry) -> None:
        if self.log is not None:
            self.log.note(entry)

    async def receive(self, body: bytes, address: str, now_ms: int) -> bool:
        """
        Write the line that a command on another machine has sent; False without an audit file.

        Raises `ValueError` where it is not sealed with the key of the file, old, or a repeat; and
        `AuditUnavailable`.
        """
        if self.log is None:
            return False
        entry = self.log.sent.read(body, now_ms)
        details = {**entry.details, "sent_from": address}
        await self.log.write(entry._replace(details=details), may_refuse=True)
        return True

    def use(self, log: AuditLog | None) -> None:
        """Write to ``log`` from now on; the one before ends its chain."""
        before, self.log = self.log, log
        if before is not None and log is not None:
            log.sent.take_over(before.sent)
        if before is not None and before is not log:
            task = asyncio.get_running_loop().create_task(before.aclose("the config was reloaded"))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    def reopen(self) -> None:
        """Go on in the file that has the name now, at SIGUSR1."""
        if self.log is not None:
            self.log.reopen()

    async def aclose(self) -> None:
        """End the chain."""
        await asyncio.gather(*self._ending, return_exceptions=True)
        if self.log is not None:
            await self.log.aclose()
            self.log = None


NO_AUDIT: Final = AuditSwitch()
"""Writes nothing: where the config has no audit file."""
