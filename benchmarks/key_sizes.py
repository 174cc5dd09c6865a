"""
Print the memory that each kind of key takes in the store, by MEMORY USAGE.

    python -m benchmarks.key_sizes [--users 200]

A gateway in live mode, with a fake of Magic, writes the keys: users sign in, call an app by token
and by cookie, and one is revoked. The store is the Valkey that the gateway brings along.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean

from redis.asyncio import Redis

from benchmarks.report import markdown_table
from benchmarks.servers import cores
from benchmarks.terminal import report_console
from gateway.authn.did_token.mint import TokenSigner, signer
from gateway.store.connect import redis_client
from tests.fakes.http import fetch
from tests.fakes.world import World, world

_LIMITS = """
  sliding: {rate: 100/minute}
  fixed: {rate: 100/minute, algorithm: fixed-window}
  bucket: {rate: 100/minute, algorithm: token-bucket, burst: 100}
  login: {rate: 100/minute, per: [ip, email]}
"""
_ROUTE = """
  - {name: limited, match: {path: "/limited/*"}, auth: none, limits: [sliding, fixed, bucket],
     upstream: app}
"""


async def sizes_by_kind(users: int, folder: Path) -> Mapping[str, Sequence[int]]:
    """Return the bytes of each key, by kind of key."""
    changes = {
        "failures": f"1000000/minute}}{_LIMITS.rstrip()}\n  other: {{rate: 1/minute",
        "more_routes": _ROUTE,
        "more_identity": ", roles_from_store: true",
        "more": "credentials: {api_keys: {}}",
    }
    async with world(folder, **changes) as around:
        for number in range(users):
            await _use(around, number)
        await _revoke(around)
        _run(around, "roles", "grant", _person(0).issuer, "beta")
        _run(around, "api-keys", "create", "ci", "--owner", "ci")
        async with redis_client(around.store.url, 5) as client:
            return await measured(client)


def _person(number: int) -> TokenSigner:
    return signer((number + 1).to_bytes(32, "big"))


async def _use(around: World, number: int) -> None:
    """Have one user sign in, and use all that writes keys."""
    by = _person(number)
    cookie = await around.sign_in(by)
    body = json.dumps({"email": f"user{number}@example.com"}).encode()
    fields = ("Content-Type: application/json", "Origin: http://localhost")
    await fetch(around.port, "POST", "/_gateway/login/attempt", *fields, body=body)
    for path, field in (("/x", cookie), ("/x", around.bearer(by)), ("/limited/x", cookie)):
        await around.get(path, field)


async def _revoke(around: World) -> None:
    """Have one more user sign out everywhere, which revokes all that the user has."""
    cookie = await around.sign_in(_person(1_000_000))
    path = "/_gateway/session?everywhere=true"
    await fetch(around.port, "DELETE", path, cookie, "Origin: http://localhost")


def _run(around: World, *words: str) -> None:
    config = str(around.gateway.config)
    command = (sys.executable, "-m", "gateway", *words, "--config", config)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


async def measured(client: Redis) -> Mapping[str, Sequence[int]]:
    """Return the bytes of each key of a server, by kind of key."""
    found: defaultdict[str, list[int]] = defaultdict(list)
    async for key in client.scan_iter():
        found[kind_of(key.decode())].append(await client.memory_usage(key, samples=0) or 0)
    return found


def kind_of(key: str) -> str:
    """Return the beginning of a key that it shares with those of its kind."""
    kind, _, rest = key.partition(":")
    return f"{kind}:{rest.partition(':')[0]}" if kind == "limit" else kind


def main(words: Sequence[str] | None = None) -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description="Memory of each kind of key.")
    parser.add_argument("--users", type=int, default=200)
    users = parser.parse_args(words).users
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(sizes_by_kind(users, Path(folder)))
    table = markdown_table("key", "number", "bytes, mean", "bytes, most")
    for kind, sizes in sorted(found.items()):
        table.add_row(kind, str(len(sizes)), str(round(mean(sizes))), str(max(sizes)))
    report_console(cores()).print(table)


if __name__ == "__main__":
    main()
