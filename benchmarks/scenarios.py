"""Scenarios that are measured in windows, and the measurement of one window."""

import json
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.build import CannotRun, NotHere, build, build_load_with_tls
from benchmarks.callers import MANY, Callers, Request
from benchmarks.proc import core_s, cpu_s, rss_bytes
from benchmarks.rows import Measurement
from benchmarks.servers import Cores, pinned

WARM_UP_S = 0.4
_KIB = 1024
_SIZES = {"10k": 10 * _KIB, "1m": _KIB * _KIB}


class Load(NamedTuple):
    """A load that is less than the server can handle."""

    share: float
    of: str
    """The row whose rate is the most that it can handle."""


class Scenario(NamedTuple):
    """One row of the report."""

    name: str
    request: Callable[[Callers], Request]
    connections: int | None = None
    """None for the number of the run. One shows the latency of a single request."""
    load: Load | None = None
    """None for as many requests as the server can handle."""


def _bodies(size: str) -> tuple[Scenario, ...]:
    return tuple(
        Scenario(
            f"{way}-{size}-{side}",
            partial(Callers.body, way=way, size=_SIZES[size], side=side),
            connections=None if size == "10k" else 8,
        )
        for way in ("get", "post")
        for side in ("direct", "naive", "session")
    )


def _both(name: str, request: Callable[..., Request], load: str = "") -> Iterator[Scenario]:
    """Make the row of the gateway and, right after it, that of the rival."""
    for prefix, side in (("", "ours"), ("rival-", "rival")):
        below = Load(0.6, f"{prefix}{load}") if load else None
        yield Scenario(f"{prefix}{name}", partial(request, side=side), load=below)


SCENARIOS = (
    *_both("browser", Callers.browser),
    *_both("answers", Callers.answers),
    *_both("callers", Callers.callers),
    *_both("look-ups", Callers.look_ups),
    *_both("post-10k-browser", Callers.browser_post),
    *_both("lean", Callers.lean),
    *_both("open-60", Callers.browser, load="browser"),
    Scenario("direct", Callers.direct),
    Scenario("relay", Callers.relay),
    Scenario("naive", Callers.naive),
    Scenario("session", Callers.session),
    Scenario("rival-session", Callers.rival_session),
    Scenario("varied", Callers.varied),
    Scenario("sessions-5000", partial(Callers.lean, count=MANY)),
    Scenario("bearer", Callers.bearer),
    Scenario("refused", Callers.refused),
    Scenario("rival-refused", Callers.rival_refused),
    Scenario("limited", Callers.limited),
    Scenario("strict", Callers.strict),
    Scenario("verify", Callers.verify),
    *_bodies("10k"),
    *_bodies("1m"),
    Scenario("ws-direct", Callers.echo_direct, connections=32),
    Scenario("ws-relay", Callers.echo_relay, connections=32),
    Scenario("ws", Callers.echo, connections=32),
    Scenario("tls", Callers.tls),
    Scenario("rival-tls", Callers.rival_tls),
    Scenario("new", Callers.new),
    Scenario("tls-new", Callers.tls_new),
    Scenario("routes-10", partial(Callers.routes, number=10)),
    Scenario("routes-10000", partial(Callers.routes, number=10_000)),
    Scenario("workers-1", partial(Callers.workers, number=1)),
    Scenario("workers-2", partial(Callers.workers, number=2)),
    Scenario("direct-1", Callers.direct, connections=1),
    Scenario("relay-1", Callers.relay, connections=1),
    Scenario("naive-1", Callers.naive, connections=1),
    Scenario("session-1", Callers.session, connections=1),
    Scenario("strict-1", Callers.strict, connections=1),
)


class Plan(NamedTuple):
    """Connections, length of windows, and cores of a run."""

    connections: int
    seconds: float
    where: Cores


class Clock(NamedTuple):
    """CPU time, in seconds."""

    server_s: float
    core_s: float
    """Of all programs on the server's core, this one included; 0 if nothing is pinned."""

    @classmethod
    def read(cls, pid: int, core: int | None) -> "Clock":
        """Read both clocks now."""
        return cls(cpu_s(pid), 0.0 if core is None else core_s(core))


def load_for(request: Request) -> Path:
    """Build the load generator for ``request``. Raises `CannotRun`, `NotHere`."""
    return build_load_with_tls() if request.server.has_tls else build("load")


def rate_of(scenario: Scenario, windows: Iterable[Measurement]) -> float | None:
    """
    Compute the rate of an open loop from the windows before it; None for a closed loop.

    Raises `NotHere` if the row that it depends on was not measured, or answered nothing.
    """
    if scenario.load is None:
        return None
    share, of = scenario.load
    highest = max((each.per_second for each in windows if each.scenario == of), default=0.0)
    if not highest:
        raise NotHere(f"its rate is {share:.0%} of that of {of}, which was not measured")
    return share * highest


def measure(
    scenario: Scenario, request: Request, plan: Plan, rate: float | None = None
) -> Measurement:
    """
    Measure one window of ``scenario``; with a ``rate``, in an open loop.

    The clocks are read when the load generator reports the start of the window, and its end.
    """
    server, connections = request.server, scenario.connections or plan.connections
    core = None if request.is_loose else plan.where.measured
    command = (server.port, connections, WARM_UP_S, plan.seconds, request.status, request.path)
    at_rate = () if rate is None else ("-r", f"{rate:.0f}")
    arguments = [*request.options, *at_rate, *map(str, command), *request.fields]
    with pinned(*plan.where) if request.is_loose else nullcontext():
        process = subprocess.Popen(
            [load_for(request), *arguments], stdout=subprocess.PIPE, text=True
        )
    with process:
        _line(process)
        before = Clock.read(server.pid, core)
        counted = json.loads(_line(process))
        after = Clock.read(server.pid, core)
    costs = _costs(request, before, after)
    server.forget_output()
    return Measurement(scenario.name, connections, **counted, **costs, is_open=rate is not None)


def _costs(request: Request, before: Clock, after: Clock) -> dict[str, Any]:
    """CPU time of the server, and of others on its core, if they are measured."""
    used_s, core_used_s = after.server_s - before.server_s, after.core_s - before.core_s
    return {
        "cpu_s": used_s if request.is_judged else None,
        "others_s": max(0.0, core_used_s - used_s) if request.is_judged else 0.0,
        "rss_bytes": rss_bytes(request.server.pid) if request.is_judged else None,
    }


def _line(process: "subprocess.Popen[str]") -> str:
    line = process.stdout.readline() if process.stdout else ""
    if not line:
        raise CannotRun(f"the load generator ended with status {process.wait()}")
    return line
