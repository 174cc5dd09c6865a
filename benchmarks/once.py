"""Single figures, which are not measured in windows: memory, start-up, look-up of a route."""

import resource
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from timeit import repeat
from typing import NamedTuple

from benchmarks.build import CannotRun, NotHere
from benchmarks.callers import PATH, mint, sign_in
from benchmarks.configs import Places, Variant, gateway_config, path_of_route
from benchmarks.proc import rss_bytes
from benchmarks.servers import Rig, Server
from gateway.config.compile import routes
from gateway.config.load import parse
from gateway.routing.table import RouteTable

IDLE = 10_000
_SPARE_DESCRIPTORS = 500
_SETTLE_S = 3.0
_MIB = 1 << 20
_STARTS = 3
_BIG_BYTES = 1 << 30
_CHUNK_BYTES = 1 * _MIB
_WARM_UP_REQUESTS = 200
_TIMEOUT_S = 30.0
_LOOK_UPS = 5000

Figures = Mapping[str, float]


class Single(NamedTuple):
    """A measurement that is made once, and gives one or more figures."""

    name: str
    measure: Callable[[Rig], Figures]


class Client:
    """Opens connections of one user to one gateway."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._cookie = sign_in(server, mint(server, "ada@example.com"))

    def ask(self, method: str, path: str, *fields: str) -> socket.socket:
        """Open a connection and send a head."""
        client = socket.create_connection(("127.0.0.1", self._server.port), timeout=_TIMEOUT_S)
        own = (f"Cookie: {self._cookie}", f"Origin: {self._server.origin}")
        lines = (f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *own, *fields)
        client.sendall("\r\n".join((*lines, "", "")).encode())
        return client

    def exchange(self) -> socket.socket:
        """Open a connection, make one request, and keep it open."""
        client = self.ask("GET", PATH)
        _check(client.recv(65536))
        return client


def _check(answer: bytes) -> None:
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise CannotRun(f"the gateway answered {answer[:100]!r}")


# --- memory ------------------------------------------------------------------------------------


def idle(rig: Rig) -> Figures:
    """Measure the memory of idle keep-alive connections, after one request each."""
    raise_descriptors(IDLE + _SPARE_DESCRIPTORS)
    with rig.new_gateway(Variant("idle")) as server, ExitStack() as stack:
        client = Client(server)
        _warm_up(client)
        before = _settled_bytes(server)
        for _ in range(IDLE):
            stack.enter_context(client.exchange())
        after = _settled_bytes(server)
    return {"idle_kib": (after - before) / IDLE / 1024, "idle_mib": after / _MIB}


def _warm_up(client: Client) -> None:
    for _ in range(_WARM_UP_REQUESTS):
        client.exchange().close()


def raise_descriptors(wanted: int) -> None:
    """Raise the limit of this process and of those it starts. Raises `NotHere`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise NotHere(f"it needs {wanted} descriptors, and may have {hard}")
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _settled_bytes(server: Server) -> int:
    time.sleep(_SETTLE_S)
    return rss_bytes(server.pid)


def big(rig: Rig) -> Figures:
    """Measure the memory that a body of 1 GiB adds to a gateway."""
    with rig.new_gateway(Variant("big")) as server:
        client = Client(server)
        _warm_up(client)
        before = _settled_bytes(server)
        down = download(client, server, _BIG_BYTES) - before
        up = upload(client, server, _BIG_BYTES) - before
    return {"grown_down_mib": down / _MIB, "grown_up_mib": up / _MIB}


def download(client: Client, server: Server, size: int) -> int:
    """Measure the peak memory of the server while it sends ``size`` bytes."""
    buffer, got, peak = bytearray(_CHUNK_BYTES), 0, 0
    with client.ask("GET", f"/bytes/{size}") as connection:
        _check(connection.recv(12 + 1, socket.MSG_PEEK))
        while got < size:
            received = connection.recv_into(buffer)
            if not received:
                raise CannotRun("a large body was cut")
            got += received
            peak = max(peak, rss_bytes(server.pid))
    return peak


def upload(client: Client, server: Server, size: int) -> int:
    """Measure the peak memory of the server while it receives ``size`` bytes."""
    chunk, peak = bytes(_CHUNK_BYTES), 0
    with client.ask("POST", PATH, f"Content-Length: {size}") as connection:
        for _ in range(size // _CHUNK_BYTES):
            connection.sendall(chunk)
            peak = max(peak, rss_bytes(server.pid))
        _check(connection.recv(65536))
    return peak


# --- starts ------------------------------------------------------------------------------------


def start(rig: Rig) -> Figures:
    """Measure the time from start to the first accepted connection; the fastest of several."""
    few, many = Variant("start"), Variant("start", routes=10_000)
    return {"start_s": _start_s(rig, few), "start_10000_s": _start_s(rig, many)}


def _start_s(rig: Rig, variant: Variant) -> float:
    def once() -> float:
        with rig.new_gateway(variant) as server:
            return server.start_s

    return min(once() for _ in range(_STARTS))


# --- routes ------------------------------------------------------------------------------------


def routing(_: Rig) -> Figures:
    """Measure the look-up of a route in this process: in a request, its cost would not show."""
    return {f"routing_{count}_ns": _look_up_ns(count) for count in (10, 10_000)}


def _look_up_ns(count: int) -> float:
    """Time the look-up of different paths, which lead to all the routes in turn."""
    nowhere = Path("/nowhere")
    places = Places(8080, 9090, 3000, nowhere, nowhere, nowhere)
    text = gateway_config(places, Variant(routes=count))
    table = RouteTable(routes(parse(text, "benchmark", {}, str)))
    paths = [f"{path_of_route(number * 7 % count)}/{number}" for number in range(_LOOK_UPS)]

    def look_up() -> None:
        for path in paths:
            table.match("127.0.0.1", path, "GET")

    return min(repeat(look_up, number=1, repeat=20)) / _LOOK_UPS * 1e9


SINGLES = (
    Single("idle", idle),
    Single("big", big),
    Single("start", start),
    Single("routing", routing),
)
