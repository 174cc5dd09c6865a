"""
Sessions of many people, written straight into the store: signing in takes a request for each.

The gateway's are sealed by its own code, in its own form. The rival's are JSON, named by a hash of
the cookie.
"""

import json
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import redis

from benchmarks.configs import SESSION_KEY
from gateway.core.identity import AuthMethod, Identity, User
from gateway.sessions.seal import SECRET_BYTES, Sealer, key_name, secret_from
from gateway.sessions.session import Session, encode

LIFETIME_MS = 86_400_000
"""Lifetime of the sessions: longer than any run."""
RIVAL_PREFIX = "rival:session:"
_AT_ONCE = 1000
"""Commands of one round trip to the store."""


class Person(NamedTuple):
    """A person who is signed in."""

    secret: str
    """Value of the session cookie."""
    issuer: str
    email: str

    @property
    def cookie_line(self) -> str:
        return f"Cookie: session={self.secret}"


class StoredSession(NamedTuple):
    """A session as the store holds it."""

    key: str
    value: bytes
    expires_at_ms: int


def people(
    count: int, first: int = 0, token_bytes: Callable[[int], bytes] = secrets.token_bytes
) -> list[Person]:
    """Make up the people from ``first`` up to ``count``; their secrets and names are different."""
    return [
        Person(
            secret_from(token_bytes(SECRET_BYTES)),
            f"did:ethr:0x{number:040x}",
            f"user-{number}@example.com",
        )
        for number in range(first, count)
    ]


def sealed_sessions(
    persons: Iterable[Person],
    prefix: str,
    now_ms: int,
) -> Iterator[StoredSession]:
    """Seal a session for each person as the gateway does at a sign-in."""
    sealer = Sealer((SESSION_KEY.encode(),))
    ends_ms = now_ms + LIFETIME_MS
    for person in persons:
        key = key_name(person.secret)
        identity = Identity(
            User(person.issuer, person.email),
            AuthMethod.SESSION,
            token_id="0",
            expires_at_ms=ends_ms,
            session_key=key,
            proven_at_ms=now_ms,
        )
        record = encode(Session(identity, now_ms))
        sealed = sealer.seal(person.secret, record)
        yield StoredSession(prefix + key, sealed, ends_ms)


def rival_sessions(persons: Iterable[Person], now_ms: int) -> Iterator[StoredSession]:
    """Write a session for each person as ``nginx_lua/gateway.lua`` reads it."""
    ends_ms = now_ms + LIFETIME_MS
    for person in persons:
        record = {"issuer": person.issuer, "email": person.email, "expires_at_ms": ends_ms}
        name = sha256(person.secret.encode()).hexdigest()
        yield StoredSession(RIVAL_PREFIX + name, json.dumps(record).encode(), ends_ms)


def store_sessions(socket: Path, sessions: Iterable[StoredSession]) -> None:
    """Write ``sessions`` into the store."""
    rest = iter(sessions)
    with redis.Redis(unix_socket_path=str(socket)) as client:
        while some := list(islice(rest, _AT_ONCE)):
            with client.pipeline(transaction=False) as pipe:
                for session in some:
                    pipe.set(session.key, session.value, pxat=session.expires_at_ms)
                pipe.execute()


def now_ms() -> int:
    """Return the time of now, as the store's expiry times are."""
    return int(time.time() * 1000)
