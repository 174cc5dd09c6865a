"""
The live figures of the dashboard: read once a second while a page is open, for all of them.

A page that reads slowly is sent the latest figures when it is ready, and never a queue of them.
While none is open, figures are read every five seconds, for the plots of the next one.
"""

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from itertools import islice
from types import MappingProxyType
from typing import Any, Final, Protocol

import orjson

from gateway.admin.app import StatusSource
from gateway.admin.figures import BOUNDS, Figures, Overview, figures, newest, refusal_document
from gateway.admin.history import EARLY_S, STEP_S, History
from gateway.admin.verdict import THRESHOLDS, level, since, troubles
from gateway.core.errors import GatewayError
from gateway.core.ports import Clock
from gateway.util.rfc3339 import rfc3339

PERIOD_S: Final = 1.0
VALUES_A_SECOND: Final = 2500
"""
How many values of metrics are read in a second on average, so that an open page costs less than 1 %
of a core: with a thousand routes in use, figures come every two seconds.
"""
UNWATCHED_VALUES_A_SECOND: Final = 250
"""The same while no page is open: less than 0.1 % of a core."""
MAX_PAGES: Final = 20
MAX_REFUSALS: Final = 100
NO_HELLO: Final[Mapping[str, object]] = MappingProxyType({})

_COMPARED: Final = (
    *("time_s", "requests", "routes", "refusals", "reasons", "limits", "durations", "workers"),
)
"""Figures of which a page shows what they have grown by."""

_log = logging.getLogger(__name__)


class TooManyPages(GatewayError):
    """Raised when `MAX_PAGES` pages are open."""


class DashboardSource(StatusSource, Protocol):
    """Source of what the dashboard shows: this process, or the supervisor of several workers."""

    async def overview(self) -> Overview:
        """Current metrics, whole and by process."""

    async def refusals(self, since: str) -> list[Mapping[str, Any]]:
        """Refusals of the time ``since`` (RFC 3339) and later; those before may come, too."""


class Feed:
    """
    Reads the figures while pages are open.

    Without `keep_history` it costs nothing while none is.
    """

    def __init__(
        self,
        source: DashboardSource,
        clock: Clock = time.time,
        period_s: float = PERIOD_S,
    ) -> None:
        self._source = source
        self._clock = clock
        self._period_s = period_s
        self._pages: dict[_OpenPage, str] = {}
        """By page, its reader; in the order in which they were opened."""
        self._reading: asyncio.Task[None] | None = None
        self._is_kept = False
        self._hurry = asyncio.Event()
        self._history = History()
        self._began_s = clock()
        self._troubles_since: dict[str, float] = {}
        self.is_draining = False
        """Whether the gateway ends: as it was read last."""
        self._since = ""
        self._values = 0
        """Number of metric values in the last reading."""
        self._figures = b""
        self._earlier: deque[Figures] = deque(maxlen=2)
        """Figures of some seconds ago: a page that opens compares those of now with them."""
        self._refusals: deque[dict[str, Any]] = deque(maxlen=MAX_REFUSALS)
        self._seen: dict[tuple[Any, ...], None] = {}
        """Refusals that were told of at the last time: the next answer may repeat them."""
        self._count = 0
        """Refusals that were ever put into ``_refusals``."""

    async def events(
        self, hello: Mapping[str, object] = NO_HELLO, reader: str = ""
    ) -> AsyncIterator[bytes]:
        """
        Yield events as they are sent to a page, without end.

        ``hello`` says what the page may do. Recent refusals come with the first figures. Raises
        `TooManyPages`, but to a ``reader`` who has fewer pages than another.
        """
        if len(self._pages) >= MAX_PAGES:
            self._make_room(reader)
        page = _OpenPage()
        self._pages[page] = reader
        try:
            self._start()
            self._hurry.set()
            said = {"bounds": BOUNDS, "thresholds": THRESHOLDS, **hello}
            yield event("hello", said) + self._past()
            told_of = 0
            while await page.woken():
                told_of, new = self._count, self._new(self._count - told_of)
                yield (event("refusals", new) if new else b"") + self._figures
        finally:
            self._pages.pop(page, None)
            if not self._pages and not self._is_kept and self._reading is not None:
                self._reading.cancel()

    def _make_room(self, reader: str) -> None:
        """End the oldest page of the reader who has most, where ``reader`` will have fewer."""
        opened = Counter(self._pages.values())
        [(greedy, most)] = opened.most_common(1)
        if most <= opened[reader] + 1:
            raise TooManyPages(f"{MAX_PAGES} pages are open")
        oldest = next(page for page, of in self._pages.items() if of == greedy)
        del self._pages[oldest]
        oldest.end()

    def keep_history(self) -> None:
        """Read figures from now on also while no page is open."""
        self._is_kept = True
        self._start()

    def close(self) -> None:
        """End all readers: the gateway stops."""
        self._is_kept = False
        for page in self._pages:
            page.end()
        if self._reading is not None:
            self._reading.cancel()

    def _past(self) -> bytes:
        past = {
            "since_s": self._began_s,
            "figures": list(self._earlier),
            **self._history.document(),
        }
        return event("history", past)

    def _new(self, count: int) -> list[dict[str, Any]]:
        skipped = max(0, len(self._refusals) - count)
        return list(islice(self._refusals, skipped, None))

    def _start(self) -> None:
        if self._reading is None or self._reading.done() or self._reading.cancelling():
            self._reading = asyncio.create_task(self._read_periodically())

    async def _read_periodically(self) -> None:
        loop = asyncio.get_running_loop()
        at_s = loop.time()
        while True:
            self._hurry.clear()
            try:
                await self.read()
            except Exception:  # noqa: BLE001 (a defect: the next second may be better)
                _log.exception("the figures of the dashboard cannot be read")
            at_s = max(at_s + self._pause_s(), loop.time())
            if self._pages:
                await asyncio.sleep(at_s - loop.time())
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout_at(at_s):
                    await self._hurry.wait()
            at_s = loop.time()

    def _pause_s(self) -> float:
        if self._pages:
            return self._period_s * max(1.0, self._values / VALUES_A_SECOND)
        return max(STEP_S, self._values / UNWATCHED_VALUES_A_SECOND)

    async def read(self) -> None:
        """Read the figures once, and wake the pages."""
        now_s, since = self._clock(), self._since
        # What happens while the source answers may be missing: it is asked for again.
        self._since = rfc3339(int(now_s * 1000))
        overview, status, refused = await asyncio.gather(
            self._source.overview(), self._source.state(), self._source.refusals(since)
        )
        self.is_draining = status.status == "draining"
        self._values = sum(map(len, overview.whole))
        found = figures(overview, status, now_s)
        self._history.add(found)
        self._figures = event("figures", {**found, "state": self._state(found, now_s)})
        since_s = now_s - self._earlier[-1]["time_s"] if self._earlier else STEP_S
        if since_s < 0:  # the clock was set back
            self._earlier.clear()
        if not 0 <= since_s < STEP_S - EARLY_S:
            self._earlier.append({name: found[name] for name in _COMPARED})
        self._note(newest(refused, MAX_REFUSALS))
        for page in self._pages:
            page.wake()

    def _state(self, found: Figures, now_s: float) -> Figures:
        """Tell what is wrong, and since when."""
        told = troubles(found, self._history.minute())
        self._troubles_since = since(self._troubles_since, told, now_s)
        return {
            "level": level(told),
            "troubles": [
                {"level": each.level, "text": each.text, "since_s": self._troubles_since[each.key]}
                for each in told
            ],
        }

    def _note(self, found: "list[Mapping[str, Any]] | Any") -> None:
        seen = {(each["time"], each["id"], each["client"], each["path"]): each for each in found}
        new = [refusal_document(each) for key, each in seen.items() if key not in self._seen]
        self._seen = dict.fromkeys(seen)
        self._refusals += new
        self._count += len(new)


class _OpenPage:
    """One page that is open: it is woken when there are new figures."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()
        self._has_ended = False

    def wake(self) -> None:
        self._changed.set()

    def end(self) -> None:
        self._has_ended = True
        self._changed.set()

    async def woken(self) -> bool:
        """Wait for new figures; False at the end."""
        await self._changed.wait()
        self._changed.clear()
        return not self._has_ended


def event(name: str, data: object) -> bytes:
    """Encode a server-sent event (HTML Standard section 9.2); JSON has no line breaks."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), orjson.dumps(data))
