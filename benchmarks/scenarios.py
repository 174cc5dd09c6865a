"""Scenarios that are measured in windows, and the measurement of one window."""

import json
import subprocess
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.build import CannotRun, build, build_load_with_tls
from benchmarks.callers import Callers, Request
from benchmarks.proc import core_s, cpu_s, rss_bytes
from benchmarks.rows import Measurement
from benchmarks.servers import Cores, pinned

WARM_UP_S = 0.4
_KIB = 1024
_SIZES = {"10k": 10 * _KIB, "1m": _KIB * _KIB}


class Scenario(NamedTuple):
    """One row of the report."""

    name: str
    request: Callable[[Callers], Request]
    connections: int | None = None
    """None for the number of the run. One shows the latency of a single request."""


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


SCENARIOS = (
    Scenario("direct", Callers.direct),
    Scenario("relay", Callers.relay),
    Scenario("naive", Callers.naive),
    Scenario("session", Callers.session),
    Scenario("varied", Callers.varied),
    Scenario("sessions-5000", Callers.sessions),
    Scenario("bearer", Callers.bearer),
    Scenario("refused", Callers.refused),
    Scenario("limited", Callers.limited),
    Scenario("strict", Callers.strict),
    Scenario("verify", Callers.verify),
    *_bodies("10k"),
    *_bodies("1m"),
    Scenario("ws-direct", Callers.echo_direct, connections=32),
    Scenario("ws-relay", Callers.echo_relay, connections=32),
    Scenario("ws", Callers.echo, connections=32),
    Scenario("tls", Callers.tls),
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


def measure(scenario: Scenario, request: Request, plan: Plan) -> Measurement:
    """
    Measure one window of ``scenario``.

    The clocks are read when the load generator reports the start of the window, and its end.
    """
    server, connections = request.server, scenario.connections or plan.connections
    core = None if request.is_loose else plan.where.measured
    command = (server.port, connections, WARM_UP_S, plan.seconds, request.status, request.path)
    arguments = [*request.options, *map(str, command), *request.fields]
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
    return Measurement(scenario.name, connections, **counted, **costs)


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
