"""
The audit log of a process that serves: lines are written by a thread, in the order of decisions.

A caller waits until its line is written, for `WAIT_S` at most, so that the line is there before the
answer. Where the file takes no lines (a full disk), they are kept up to a bound and tried again
every second; what finds no room is dropped, and a later line tells how many.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from math import inf
from threading import Condition, Thread
from typing import Final, NamedTuple

from gateway.audit.chain import Head
from gateway.audit.file import AuditFile
from gateway.audit.heads import Heads
from gateway.audit.sent import SentLines
from gateway.core.audit import AuditEntry, AuditEvent
from gateway.core.errors import AuditUnavailable, StoreUnavailable
from gateway.core.ports import AuditTrail, Clock

WAIT_S: Final = 1.0
"""How long an answer waits for its line, where the disk is slow."""
RETRY_S: Final = 1.0
MAX_WAITING: Final = 10_000
"""Lines that are kept while the file takes none."""
END_S: Final = 2.0
"""How long the end of a chain waits for the file, and for the store."""

_log = logging.getLogger("gateway.audit")


class AuditHeard(NamedTuple):
    """What is called as lines are written, and as they are lost."""

    written: Callable[[], object] = lambda: None
    lost: Callable[[], object] = lambda: None


_UNHEARD: Final = AuditHeard()


class _WaitingLine:
    """A line that is not written yet."""

    __slots__ = ("entry", "settle", "time_ms")

    def __init__(self, entry: AuditEntry, time_ms: int, settle: Callable[[bool], object]) -> None:
        self.entry = entry
        self.time_ms = time_ms
        self.settle = settle
        """Called by the thread with whether the line is written by now; the first call counts."""


class AuditLog(AuditTrail):
    """The port `AuditTrail` over a file, for one chain."""

    def __init__(
        self,
        file: AuditFile,
        writer: str,
        heads: Heads,
        key: bytes,
        heard: AuditHeard = _UNHEARD,
        clock: Clock = time.time,
        *,
        refuses: bool = False,
        retry_s: float = RETRY_S,
    ) -> None:
        """``refuses`` is for ``on_failure: refuse``; ``key`` checks lines of other machines."""
        self.writer = writer
        self.sent = SentLines(key)
        self._file = file
        self._heads = heads
        self._heard = heard
        self._clock = clock
        self._refuses = refuses
        self._retry_s = retry_s
        self._loop = asyncio.get_running_loop()
        self._lines: deque[_WaitingLine] = deque()
        self._lost = 0
        """Lines that were dropped, and not told of yet."""
        self._changed = Condition()
        self.is_failing = False
        """Whether the file took no line the last time, and some may wait for it."""
        self._reopen_at_s = inf
        """When to open the file anew, by the monotonic clock."""
        self._is_ending = False
        self._has_head = asyncio.Event()
        self._head: Head | None = None
        self._thread = Thread(target=self._work, name="audit", daemon=True)
        self._thread.start()
        self._telling = self._loop.create_task(self._tell_heads())

    # --- the port ------------------------------------------------------------------------------

    def require(self) -> None:
        if self._refuses and (self.is_failing or len(self._lines) >= MAX_WAITING):
            raise AuditUnavailable("the audit file takes no lines")

    async def write(self, entry: AuditEntry, *, may_refuse: bool = False) -> None:
        may_refuse = may_refuse and self._refuses
        if may_refuse:
            self.require()
        done = self._loop.create_future()
        waiting = _WaitingLine(entry, self._now_ms(), self._settling(done))
        if not self._put(waiting):
            done.set_result(False)
        try:
            async with asyncio.timeout(WAIT_S):
                is_written = await done
        except TimeoutError:
            is_written = False
        if not is_written and may_refuse:
            self._withdraw(waiting)
            raise AuditUnavailable("the line was not written")

    def note(self, entry: AuditEntry) -> None:
        self._put(_WaitingLine(entry, self._now_ms(), lambda _: None))

    # --- the life of the log -------------------------------------------------------------------

    def reopen(self) -> None:
        """Go on in the file that has the name now, as after a rotation."""
        with self._changed:
            self._reopen_at_s = 0.0
            self._changed.notify_all()

    async def aclose(self, reason: str = "") -> None:
        """End the chain: write what is left, and the head. Takes `END_S` at most, twice."""
        self.note(AuditEntry(AuditEvent.ENDED, "gateway", self.writer, reason=reason))
        with self._changed:
            self._is_ending = True
            self._changed.notify_all()
        await asyncio.to_thread(self._thread.join, END_S)
        self._telling.cancel()
        await asyncio.gather(self._telling, return_exceptions=True)
        if self._head is not None:
            try:
                async with asyncio.timeout(END_S):
                    await self._heads.write(self.writer, self._head)
            except (StoreUnavailable, TimeoutError):
                _log.warning("the head of %s was not kept in the store", self.writer)

    def _settling(self, done: "asyncio.Future[bool]") -> Callable[[bool], object]:
        def settle(is_written: bool) -> None:
            if not done.done():
                done.set_result(is_written)

        return lambda is_written: self._call_soon(settle, is_written)

    def _call_soon(self, work: Callable[..., object], *args: object) -> None:
        try:
            self._loop.call_soon_threadsafe(work, *args)
        except RuntimeError:  # the loop has ended: nothing waits any more
            return

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)

    def _put(self, waiting: _WaitingLine) -> bool:
        """Queue a line; return False where nothing is to be waited for."""
        with self._changed:
            if len(self._lines) >= MAX_WAITING:
                self._lost += 1
                self._heard.lost()
                return False
            self._lines.append(waiting)
            self._changed.notify_all()
            return not self.is_failing

    def _withdraw(self, waiting: _WaitingLine) -> None:
        """Take a line back whose action is refused; one that is being written stays."""
        with self._changed, suppress(ValueError):
            self._lines.remove(waiting)

    # --- heads ---------------------------------------------------------------------------------

    def _note_head(self, head: Head | None) -> None:
        if head is not None:
            before = 0 if self._head is None else self._head.seq
            for _ in range(before, head.seq):
                self._heard.written()
        self._head = head
        self._has_head.set()

    async def _tell_heads(self) -> None:
        """Keep the latest head in the store, as soon as the store takes it."""
        while True:
            await self._has_head.wait()
            self._has_head.clear()
            try:
                if self._head is not None:
                    await self._heads.write(self.writer, self._head)
            except StoreUnavailable:
                await asyncio.sleep(self._retry_s)
                self._has_head.set()

    # --- the thread ----------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            with self._changed:
                while not (self._lines or self._is_ending or self.is_failing or self._must_reopen):
                    left_s = self._reopen_at_s - time.monotonic()
                    self._changed.wait(None if left_s == inf else max(0.0, left_s))
                if self._is_ending and not self._lines:
                    break
            if self._must_reopen:
                self._reopen()
            elif not self._try_first() and not self._pause():
                break
        if self._lines:
            _log.error("%d lines of the audit file were lost", len(self._lines))
        self._file.close()

    @property
    def _must_reopen(self) -> bool:
        return self._reopen_at_s <= time.monotonic()

    def _pause(self) -> bool:
        """Wait before the next try; return False where there is none, at the end."""
        until_s = time.monotonic() + self._retry_s
        with self._changed:
            while not self._is_ending and (left_s := until_s - time.monotonic()) > 0:
                self._changed.wait(left_s)
            return not self._is_ending

    def _try_first(self) -> bool:
        """
        Write the first line; where the file fails, nothing waits for its lines.

        Where all lines were withdrawn since, the file is not failing either: the next line tries.
        """
        try:
            is_written = self._write_first()
        except OSError as error:
            with self._changed:
                if not self.is_failing:
                    _log.error("%s takes no audit lines: %s", self._file.path, error.strerror)
                    for waiting in self._lines:
                        waiting.settle(False)
                self.is_failing = True
            return False
        if self.is_failing:
            self.is_failing = False
            if is_written:
                _log.info("%s takes audit lines again", self._file.path)
        return True

    def _reopen(self) -> None:
        """Open the file anew; where that fails, lines go on in the old one until the next try."""
        with self._changed:
            self._reopen_at_s = inf
        try:
            self._file.reopen()
        except OSError as error:
            text = "%s was not opened anew, audit lines go on in the old file: %s"
            _log.error(text, self._file.path, error.strerror)
            with self._changed:
                self._reopen_at_s = min(self._reopen_at_s, time.monotonic() + self._retry_s)
        self._call_soon(self._note_head, self._file.head)

    def _write_first(self) -> bool:
        """Write the first line, or return False; and one about those that were lost before it."""
        with self._changed:
            if not self._lines:
                return False
            waiting, lost = self._lines[0], self._lost
        if lost:
            entry = AuditEntry(AuditEvent.LOST, "gateway", self.writer, details={"count": lost})
            self._file.append(entry)
            with self._changed:
                self._lost -= lost
        self._file.append(waiting.entry, waiting.time_ms)
        with self._changed:
            if self._lines and self._lines[0] is waiting:
                self._lines.popleft()
        waiting.settle(True)
        self._call_soon(self._note_head, self._file.head)
        return True
