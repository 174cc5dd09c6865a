"""The ``redis-server`` of the machine with TLS and an ACL user, and as a group with sentinels."""

import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

import redis

from gateway.proxy.downstream.tls import CertificateFiles
from gateway.store.login import LoginOptions
from gateway.store.permissions import acl_rules
from gateway.store.server import StoreOptions
from gateway.util.client_tls import ClientTlsFiles
from tests.fakes.certificates import Authority
from tests.fakes.free_port import free_port
from tests.fakes.servers import START_S, TIMEOUT_S, redis_binary
from tests.fakes.timing import wait_until

USER, PASSWORD, PREFIX = "gateway", "p@ss w%rd", "gw:"
"""The user that the servers know, beside the default one, and the keys that it may use."""

OF_TESTS = ("+exists", "+incrby", "+keys")
"""What scripts of tests use beside."""

DOWN_AFTER_MS = 10_000
"""Silence after which sentinels take a server for failed: no busy machine silences one so long."""
BRISK_DOWN_AFTER_MS = 400
"""The same while a test strikes the master."""
CONNECT_S = 10.0
"""For a handshake on a busy machine: nothing waits until it is over."""
SENTINEL_PASSWORD = "watch"
MASTER = "main"


class Process:
    """A ``redis-server`` with a config file; killed, frozen and thawed by its process id."""

    def __init__(self, port: int, directory: Path, config: str, *words: str) -> None:
        self.port = port
        self._file = directory / f"{port}.conf"
        self._file.write_text(f"bind 127.0.0.1\ndir {directory}\n{config}\n")
        self._words = words
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *words: str) -> None:
        """Return at once; see `accepts`."""
        self._process = subprocess.Popen(
            [redis_binary(), self._file, *self._words, *words], stdout=subprocess.DEVNULL
        )

    def accepts(self) -> bool:
        """Whether it takes connections."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    @property
    def is_running(self) -> bool:
        return self._process is not None

    def pause(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """As a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


# --- TLS and ACL --------------------------------------------------------------------------------


class SecureRedis(NamedTuple):
    """A server that wants TLS with a client certificate, and a user with few permissions."""

    port: int
    authority: Authority
    client: CertificateFiles
    """What the gateway shows."""
    socket_path: Path
    """Where the default user, who may do anything, gets in without TLS."""
    process: Process

    @property
    def url(self) -> str:
        """Without credentials."""
        return f"rediss://localhost:{self.port}/0"

    @property
    def operator_url(self) -> str:
        """The URL of the default user."""
        return f"unix://{self.socket_path}?password=operator"

    @property
    def options(self) -> StoreOptions:
        """How the gateway reaches it."""
        files = ClientTlsFiles(str(self.authority.file), *self.client)
        login = LoginOptions(USER, PASSWORD)
        return StoreOptions(
            self.url, PREFIX, TIMEOUT_S, connect_timeout_s=CONNECT_S, login=login, tls=files
        )

    def operator(self) -> "redis.Redis":
        """A client of the default user."""
        return redis.Redis.from_url(self.operator_url)


def _accepts_at(path: Path) -> bool:
    """Whether a server listens there: the file is there a moment before."""
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


@contextmanager
def secure_redis() -> Iterator[SecureRedis]:
    """Run a server on a TLS port; user `USER` with `PASSWORD` may use keys under `PREFIX`."""
    directory = Path(tempfile.mkdtemp(prefix="tls-"))
    authority, port = Authority(directory), free_port()
    own = authority.issue("localhost", file="server")
    config = f"""
port 0
tls-port {port}
unixsocket {directory}/s
tls-ca-cert-file {authority.file}
tls-cert-file {own.certificate}
tls-key-file {own.key}
tls-auth-clients yes
save ""
appendonly no
loglevel warning
enable-debug-command yes
user default on >operator ~* &* +@all
"""
    process = Process(port, directory, config)
    server = SecureRedis(
        port, authority, authority.issue("gateway", file="client"), directory / "s", process
    )
    try:
        process.start()
        wait_until(process.accepts, within_s=START_S)
        wait_until(lambda: _accepts_at(server.socket_path), within_s=START_S)  # after the port
        with server.operator() as operator:
            operator.execute_command(
                *("ACL", "SETUSER", USER, "reset", "on", f">{PASSWORD}"),
                *(*acl_rules(PREFIX), *OF_TESTS),
            )
        yield server
    finally:
        process.kill()
        shutil.rmtree(directory, ignore_errors=True)


# --- sentinels ----------------------------------------------------------------------------------


class SentinelGroup:
    """A master, a replica and three sentinels, which know each other from the start."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.servers = [self._server() for _ in range(2)]
        ids = [secrets.token_hex(20) for _ in range(3)]
        ports = [free_port() for _ in ids]
        self.sentinels = [
            Process(port, directory, self._sentinel_config(port, at, ids, ports), "--sentinel")
            for at, port in enumerate(ports)
        ]

    def _server(self) -> Process:
        port = free_port()
        config = f"""
port {port}
save ""
appendonly no
loglevel warning
repl-diskless-sync yes
repl-diskless-sync-delay 0
repl-backlog-size 1mb
"""
        return Process(port, self._directory, config)

    def _sentinel_config(self, port: int, at: int, ids: list[str], ports: list[int]) -> str:
        master, replica = self.servers
        others = [
            f"sentinel known-sentinel {MASTER} 127.0.0.1 {ports[n]} {ids[n]}"
            for n in range(len(ids))
            if n != at
        ]
        return "\n".join(
            (
                f"port {port}",
                "loglevel warning",
                f"requirepass {SENTINEL_PASSWORD}",
                f"sentinel sentinel-pass {SENTINEL_PASSWORD}",
                f"sentinel myid {ids[at]}",
                f"sentinel monitor {MASTER} 127.0.0.1 {master.port} 2",
                f"sentinel down-after-milliseconds {MASTER} {DOWN_AFTER_MS}",
                f"sentinel failover-timeout {MASTER} 1500",
                f"sentinel known-replica {MASTER} 127.0.0.1 {replica.port}",
                *others,
            )
        )

    @contextmanager
    def is_brisk(self) -> Iterator[None]:
        """Have sentinels replace a silent master soon, until the context ends."""
        self._set_down_after(BRISK_DOWN_AFTER_MS)
        try:
            yield
        finally:
            self._set_down_after(DOWN_AFTER_MS)

    def _set_down_after(self, down_after_ms: int) -> None:
        for sentinel in self.sentinels:
            with _client(sentinel.port, SENTINEL_PASSWORD) as client:
                client.sentinel_set(MASTER, "down-after-milliseconds", down_after_ms)

    @property
    def places(self) -> str:
        """The sentinels, as in a URL."""
        return ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)

    @property
    def url(self) -> str:
        return f"redis+sentinel://{self.places}/{MASTER}/0"

    @property
    def options(self) -> StoreOptions:
        """How the gateway reaches it."""
        login = LoginOptions(password=SENTINEL_PASSWORD)
        return StoreOptions(
            self.url, PREFIX, TIMEOUT_S, connect_timeout_s=CONNECT_S, sentinel_login=login
        )

    @property
    def operator_url(self) -> str:
        """The URL of the master."""
        return f"redis://127.0.0.1:{self.master().port}"

    def start(self) -> None:
        master, replica = self.servers
        master.start()
        replica.start("--replicaof", "127.0.0.1", str(self.replicates_from(master)))
        for each in self.servers:
            wait_until(each.accepts, within_s=START_S)
        wait_until(self._is_replicated, within_s=START_S)
        for sentinel in self.sentinels:
            sentinel.start()
        wait_until(self._is_watched, within_s=START_S)

    def replicates_from(self, master: Process) -> int:
        """Return the port that the replica follows: the master, or what leads to it."""
        return master.port

    def stop(self) -> None:
        for process in (*self.sentinels, *self.servers):
            process.kill()

    def master(self) -> Process:
        """The server that is the master now, as the servers themselves say."""
        [found] = [each for each in self.servers if self.is_running_as("master", each)]
        return found

    def is_running_as(self, role: str, server: Process) -> bool:
        """Whether a server says that it has that role."""
        if not server.is_running:
            return False
        try:
            with _client(server.port) as client:
                return bool(client.info("replication")["role"] == role)
        except redis.ConnectionError:  # sentinels close connections of one that they promote
            return False

    def is_master_known(self, port: int) -> bool:
        """Whether all sentinels name the server at ``port`` the master."""
        return all(self._state(each).get("port") == port for each in self.sentinels)

    def _is_replicated(self) -> bool:
        states = []
        for each in self.servers:
            with _client(each.port) as client:
                states.append(client.info("replication"))
        roles = sorted(state["role"] for state in states)
        links = [state.get("master_link_status") for state in states if state["role"] == "slave"]
        return roles == ["master", "slave"] and links == ["up"]

    def _is_watched(self) -> bool:
        return all(self._is_ready(self._state(each)) for each in self.sentinels)

    @staticmethod
    def _is_ready(state: dict[str, object]) -> bool:
        known = (state.get("num-slaves"), state.get("num-other-sentinels"))
        return known == (1, 2) and state.get("flags") == "master"

    @staticmethod
    def _state(sentinel: Process) -> dict[str, object]:
        try:
            with _client(sentinel.port, SENTINEL_PASSWORD) as client:
                states = client.sentinel_masters()
        except redis.ConnectionError:
            return {}
        return dict(states[MASTER])


def _client(port: int, password: str | None = None) -> "redis.Redis":
    return redis.Redis(port=port, password=password, socket_timeout=START_S)


@contextmanager
def sentinel_group() -> Iterator[SentinelGroup]:
    """Run a group until the context ends."""
    directory = Path(tempfile.mkdtemp(prefix="sentinel-"))
    group = SentinelGroup(directory)
    try:
        group.start()
        yield group
    finally:
        group.stop()
        shutil.rmtree(directory, ignore_errors=True)


GUARDED: dict[str, Callable[[], AbstractContextManager[SecureRedis | SentinelGroup]]] = {
    "tls": secure_redis,
    "sentinel": sentinel_group,
}
"""Servers that are reached by more than a URL."""
