"""What is asked of whom, and how one such window is measured."""

import json
import secrets
import subprocess
from collections.abc import Callable
from functools import cached_property
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.build import CannotRun
from benchmarks.proc import core_s, cpu_s, rss_bytes
from benchmarks.report import Measurement
from benchmarks.servers import Rig, Server

PATH = "/api/items?page=1"
WARM_UP_S = 0.4
_TIMEOUT_S = 5.0
_LIFETIME_S = 86_400
"""Of the DID tokens: longer than any run."""


class Request(NamedTuple):
    """What each connection asks, over and over."""

    server: Server
    status: int = 200
    fields: tuple[str, ...] = ()
    is_judged: bool = True
    """Whether it is the CPU time of ``server`` that matters."""


class Callers:
    """Who asks: people whom the gateways know, and one whom they do not."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig

    def direct(self) -> Request:
        return Request(self._rig.upstream, is_judged=False)

    def relay(self) -> Request:
        return Request(self._rig.relay)

    def naive(self) -> Request:
        return Request(self._rig.naive, fields=(self._naive_cookie,))

    def session(self) -> Request:
        return Request(self._rig.gateway, fields=(self._cookie,))

    def bearer(self) -> Request:
        return Request(self._rig.gateway, fields=(f"Authorization: Bearer {self._token}",))

    def refused(self) -> Request:
        return Request(self._rig.gateway, status=401)

    @cached_property
    def _naive_cookie(self) -> str:
        """As long as the gateway's own."""
        cookie = secrets.token_urlsafe(32)
        self._rig.sign_in_naive(cookie, f"did:ethr:0x{secrets.token_hex(20)}")
        return f"Cookie: session={cookie}"

    @cached_property
    def _token(self) -> str:
        return mint(self._rig.gateway.port, "grace@example.com")

    @cached_property
    def _cookie(self) -> str:
        port = self._rig.gateway.port
        return f"Cookie: {sign_in(port, mint(port, 'ada@example.com'))}"


def mint(port: int, email: str) -> str:
    """A DID token of a gateway in development mode."""
    path = f"/_gateway/development/token?email={email}&lifetime_s={_LIFETIME_S}"
    return _post(port, path, {}, 200)[0].strip()


def sign_in(port: int, token: str) -> str:
    """The cookie, ``name=value``, that the gateway gives for ``token``."""
    _, set_cookie = _post(port, "/_gateway/session", {"Authorization": f"Bearer {token}"}, 201)
    return set_cookie.partition(";")[0]


def _post(port: int, path: str, fields: dict[str, str], expected: int) -> tuple[str, str]:
    """The answer's body and its ``Set-Cookie``."""
    client = HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)
    try:
        client.request("POST", path, headers=fields)
        answer = client.getresponse()
        body = answer.read().decode()
    finally:
        client.close()
    if answer.status != expected:
        raise CannotRun(f"POST {path} was answered {answer.status}: {body}")
    return body, answer.getheader("Set-Cookie", "")


class Scenario(NamedTuple):
    """One row of the report."""

    name: str
    request: Callable[[Callers], Request]
    is_alone: bool = False
    """With one connection, to see how long a request takes when nothing else goes on."""


SCENARIOS = (
    Scenario("direct", Callers.direct),
    Scenario("relay", Callers.relay),
    Scenario("naive", Callers.naive),
    Scenario("session", Callers.session),
    Scenario("bearer", Callers.bearer),
    Scenario("refused", Callers.refused),
    Scenario("direct-1", Callers.direct, is_alone=True),
    Scenario("relay-1", Callers.relay, is_alone=True),
    Scenario("naive-1", Callers.naive, is_alone=True),
    Scenario("session-1", Callers.session, is_alone=True),
)


class Plan(NamedTuple):
    """How much is measured, and where."""

    connections: int
    seconds: float
    core: int | None
    """The core that what is measured should have for itself."""


class Clock(NamedTuple):
    """CPU time, in seconds."""

    server_s: float
    core_s: float
    """Of all programs on the server's core, this one included; 0 where nothing is pinned."""

    @classmethod
    def read(cls, pid: int, core: int | None) -> "Clock":
        """Now."""
        return cls(cpu_s(pid), 0.0 if core is None else core_s(core))


def measure(load: Path, scenario: Scenario, request: Request, plan: Plan) -> Measurement:
    """
    One window of ``scenario``.

    The clocks are read as the load generator says that the window begins, and when it has ended.
    """
    server, connections = request.server, 1 if scenario.is_alone else plan.connections
    command = (load, server.port, connections, WARM_UP_S, plan.seconds, request.status, PATH)
    arguments = [*map(str, command), *request.fields]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        _line(process)
        before = Clock.read(server.pid, plan.core)
        counted = json.loads(_line(process))
        after = Clock.read(server.pid, plan.core)
    costs = _costs(request, before, after)
    server.forget_output()
    return Measurement(scenario.name, connections, **counted, **costs)


def _costs(request: Request, before: Clock, after: Clock) -> dict[str, Any]:
    """What the server used in between, and others on its core, if that is what is judged."""
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
