"""From windows to rows: which scenarios there are, and what each of them came to. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from math import inf, isfinite
from typing import NamedTuple

MAX_OTHERS = 0.05
"""How much of the server's core other programs may use before a window counts as disturbed."""


class Group(Enum):
    """Rows that stand in one table; its head."""

    SMALL = "one core, small GET"
    BODIES = "one core, bodies"
    TUNNELS = "one core, WebSocket echo of 32 bytes"
    TLS = "one core, small GET, TLS 1.3"
    ROUTES = "one core, small GET, many routes"
    WORKERS = "two cores for all, small GET"
    ALONE = "one core, small GET, one connection"


class Entry(NamedTuple):
    """What is known of a row before it is measured."""

    group: Group
    title: str


_SIZES = {"10k": "10 KiB", "1m": "1 MiB"}
_WAYS = {"get": "down", "post": "up"}
_SIDES = {"direct": "the app itself", "naive": "naive gateway", "session": "Gateway"}

ENTRIES = {
    "direct": Entry(Group.SMALL, "the app itself"),
    "relay": Entry(Group.SMALL, "blind TCP relay, the floor"),
    "naive": Entry(Group.SMALL, "naive gateway, session"),
    "session": Entry(Group.SMALL, "Gateway, session cookie"),
    "varied": Entry(Group.SMALL, "Gateway, session, every head different"),
    "sessions-5000": Entry(Group.SMALL, "Gateway, 5 000 sessions, a random one each time"),
    "bearer": Entry(Group.SMALL, "Gateway, bearer token, cached"),
    "refused": Entry(Group.SMALL, "Gateway, no credential: 401"),
    "limited": Entry(Group.SMALL, "Gateway, over a limit: 429"),
    "strict": Entry(Group.SMALL, "Gateway, session, a limit that waits for the store"),
    "verify": Entry(Group.SMALL, "Gateway, asked by a proxy (forward-auth), every path different"),
    **{
        f"{way}-{size}-{side}": Entry(Group.BODIES, f"{_SIZES[size]} {_WAYS[way]}, {_SIDES[side]}")
        for size in _SIZES
        for way in _WAYS
        for side in _SIDES
    },
    "ws-direct": Entry(Group.TUNNELS, "the app itself"),
    "ws-relay": Entry(Group.TUNNELS, "blind TCP relay, the floor"),
    "ws": Entry(Group.TUNNELS, "Gateway, session cookie"),
    "tls": Entry(Group.TLS, "Gateway, session, keep-alive"),
    "new": Entry(Group.TLS, "Gateway, session, a new connection each, without TLS"),
    "tls-new": Entry(Group.TLS, "Gateway, session, a new connection each: handshakes"),
    "routes-10": Entry(Group.ROUTES, "10 routes, every path different"),
    "routes-10000": Entry(Group.ROUTES, "10 000 routes, every path different"),
    "workers-1": Entry(Group.WORKERS, "one worker"),
    "workers-2": Entry(Group.WORKERS, "two workers"),
    "direct-1": Entry(Group.ALONE, "the app itself"),
    "relay-1": Entry(Group.ALONE, "blind TCP relay, the floor"),
    "naive-1": Entry(Group.ALONE, "naive gateway, session"),
    "session-1": Entry(Group.ALONE, "Gateway, session cookie"),
    "strict-1": Entry(Group.ALONE, "Gateway, session cookie, strict limit"),
}
"""Rows by name, in their order."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One window of one scenario."""

    scenario: str
    connections: int
    requests: int
    """Or messages, in a tunnel."""
    seconds: float
    errors: int
    """Connections that broke."""
    unexpected: int
    """Answers with another status than the one that was asked for."""
    body_bytes: int
    """Of all requests and answers."""
    p50_us: int
    p99_us: int
    max_us: int
    cpu_s: float | None
    """CPU time of the server in the window; None where it is not the server that is judged."""
    others_s: float
    """CPU time that other programs used meanwhile on the server's core."""
    rss_bytes: int | None

    @property
    def is_disturbed(self) -> bool:
        return self.others_s > MAX_OTHERS * self.seconds

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds

    @property
    def megabytes_per_second(self) -> float:
        return self.body_bytes / self.seconds / 1e6

    @property
    def cpu_us(self) -> float | None:
        """CPU time of the server for each request; None also where the kernel counted no tick."""
        if not self.cpu_s or not self.requests:
            return None
        return self.cpu_s / self.requests * 1e6

    @property
    def busy(self) -> float | None:
        """How much of the window the server computed: near 1, it is what limits the rate."""
        return None if self.cpu_s is None else self.cpu_s / self.seconds

    @property
    def cost(self) -> float:
        """What is compared between repeats: CPU time, or wall-clock time where none is judged."""
        if self.cpu_us is None or self.connections == 1:
            return 1e6 / self.per_second if self.requests else inf
        return self.cpu_us


class Row(NamedTuple):
    """All windows of one scenario."""

    best: Measurement
    """The cheapest of those that were not disturbed: noise on a machine only ever adds."""
    spread: float | None
    """By how much the dearest window was dearer, as a share; None if one had no answer at all."""
    failed: int
    """Errors and unexpected statuses in all windows."""


Rows = Mapping[str, Row]


def summarise(measurements: Iterable[Measurement]) -> dict[str, Row]:
    """A row for each scenario, by name."""
    windows: dict[str, list[Measurement]] = {}
    for measurement in measurements:
        windows.setdefault(measurement.scenario, []).append(measurement)
    return {name: _row(windows[name]) for name in ENTRIES if name in windows}


def _row(windows: Sequence[Measurement]) -> Row:
    best = min(windows, key=lambda window: (window.is_disturbed, window.cost))
    dearest = max(window.cost for window in windows)
    failed = sum(window.errors + window.unexpected for window in windows)
    return Row(best, dearest / best.cost - 1 if isfinite(dearest) else None, failed)


# --- single figures of rows --------------------------------------------------------------------


def cpu_us(rows: Rows, name: str) -> float | None:
    """The CPU time of a request, if it was measured."""
    return rows[name].best.cpu_us if name in rows else None


def per_second(rows: Rows, name: str) -> float | None:
    """Requests a second, if they were measured."""
    return rows[name].best.per_second if name in rows else None


def added_latency_us(rows: Rows, name: str) -> float | None:
    """By how much a request takes longer than without anything between."""
    if name not in rows or "direct-1" not in rows:
        return None
    return rows[name].best.p50_us - rows["direct-1"].best.p50_us


def ratio(dividend: float | None, divisor: float | None) -> float | None:
    """None where either is missing, or there is nothing to divide by."""
    return dividend / divisor if dividend is not None and divisor else None
