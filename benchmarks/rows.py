"""Rows of the report: their names and titles, and their figures from windows. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from math import inf, isfinite
from typing import NamedTuple

MAX_OTHERS = 0.05
"""Share of the server's core that other programs may use in an undisturbed window."""


class Group(Enum):
    """Rows of one table; the value is its head."""

    HONEST = "one core, requests that differ"
    OPEN = "one core, at 60 % of the most that it can handle"
    SMALL = "one core, small GET"
    BODIES = "one core, bodies"
    TUNNELS = "one core, WebSocket echo of 32 bytes"
    TLS = "one core, small GET, TLS 1.3"
    ROUTES = "one core, small GET, many routes"
    WORKERS = "two cores for all, small GET"
    ALONE = "one core, small GET, one connection"
    RIVAL = "one core, nginx with Lua"


class Entry(NamedTuple):
    """Group and title of a row."""

    group: Group
    title: str


_HONEST = {
    "browser": "all different: fields of a browser, 200 sessions",
    "answers": "the same, and the answers differ",
    "callers": "all different, 10 000 callers with a limit each",
    "look-ups": "all different, a session look-up in each request",
    "post-10k-browser": "all different, POST of 10 KiB",
    "lean": "200 sessions, no other field",
}
_SIZES = {"10k": "10 KiB", "1m": "1 MiB"}
_WAYS = {"get": "down", "post": "up"}
_SIDES = {"direct": "the app itself", "naive": "naive gateway", "session": "Gateway"}

ENTRIES = {
    **{
        f"{prefix}{name}": Entry(group, side + title)
        for name, title in _HONEST.items()
        for prefix, group, side in (
            ("", Group.HONEST, "Gateway, "),
            ("rival-", Group.RIVAL, ""),
        )
    },
    "open-60": Entry(Group.OPEN, "Gateway, all different"),
    "rival-open-60": Entry(Group.OPEN, "nginx with Lua, all different"),
    "direct": Entry(Group.SMALL, "the app itself"),
    "relay": Entry(Group.SMALL, "blind TCP relay, the floor"),
    "naive": Entry(Group.SMALL, "naive gateway, session"),
    "session": Entry(Group.SMALL, "Gateway, session cookie"),
    "rival-session": Entry(Group.RIVAL, "session cookie, the same head again and again"),
    "varied": Entry(Group.SMALL, "Gateway, session, every head different"),
    "sessions-5000": Entry(Group.SMALL, "Gateway, 5 000 sessions in turn"),
    "bearer": Entry(Group.SMALL, "Gateway, bearer token, cached"),
    "refused": Entry(Group.SMALL, "Gateway, no credential: 401"),
    "rival-refused": Entry(Group.RIVAL, "no credential: 401"),
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
    "rival-tls": Entry(Group.RIVAL, "TLS 1.3, keep-alive, without authentication"),
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
    """Number of requests, or of messages in a tunnel."""
    seconds: float
    errors: int
    """Broken connections."""
    unexpected: int
    """Responses with another status than expected."""
    body_bytes: int
    """Size of the bodies of all requests and responses."""
    p50_us: int
    p99_us: int
    max_us: int
    cpu_s: float | None
    """CPU time of the server in the window; None if it is not measured."""
    others_s: float
    """CPU time of other programs on the server's core in the window."""
    rss_bytes: int | None
    is_open: bool = False
    """Whether requests were due at even intervals, whether or not answers came."""

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
        """CPU time of the server per request; None if the kernel counted no tick."""
        if not self.cpu_s or not self.requests:
            return None
        return self.cpu_s / self.requests * 1e6

    @property
    def busy(self) -> float | None:
        """Share of the window in which the server computed. Near 1, the server limits the rate."""
        return None if self.cpu_s is None else self.cpu_s / self.seconds

    @property
    def cost(self) -> float:
        """
        Cost that is compared between windows.

        CPU time; the 99th percentile in an open loop; wall-clock time with one connection, and
        where there is no CPU time.
        """
        if self.is_open:
            return self.p99_us if self.requests else inf
        if self.cpu_us is None or self.connections == 1:
            return 1e6 / self.per_second if self.requests else inf
        return self.cpu_us


class Row(NamedTuple):
    """All windows of one scenario."""

    best: Measurement
    """The cheapest undisturbed window: noise only ever adds cost."""
    spread: float | None
    """Relative difference of the most expensive window; None if one had no response at all."""
    failed: int
    """Errors and unexpected statuses in all windows."""


Rows = Mapping[str, Row]


def summarise(measurements: Iterable[Measurement]) -> dict[str, Row]:
    """Make a row of each scenario, by name."""
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
    """CPU time of a request, if it was measured."""
    return rows[name].best.cpu_us if name in rows else None


def p99_ms(rows: Rows, name: str) -> float | None:
    """Latency that 99 % of the requests did not exceed, if it was measured."""
    return rows[name].best.p99_us / 1000 if name in rows else None


def per_second(rows: Rows, name: str) -> float | None:
    """Requests a second, if they were measured."""
    return rows[name].best.per_second if name in rows else None


def added_latency_us(rows: Rows, name: str) -> float | None:
    """Latency of a request minus that of a direct one to the app."""
    if name not in rows or "direct-1" not in rows:
        return None
    return rows[name].best.p50_us - rows["direct-1"].best.p50_us


def ratio(dividend: float | None, divisor: float | None) -> float | None:
    """Divide; None if a value is missing, or the divisor is zero."""
    return dividend / divisor if dividend is not None and divisor else None
