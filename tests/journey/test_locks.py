"""Apps take locks of the gateway, which other programs cannot have at the same time."""

import asyncio
import socket
import struct
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.authn.api_key.key import KeySealer
from gateway.authn.api_key.redis import RedisApiKeys
from gateway.store.connect import redis_client
from gateway.store.redis import RedisStore
from tests.fakes.http import Answer, RawClient, connected, fetch
from tests.fakes.process import gateway
from tests.fakes.world import SESSION_KEY, World

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG_CHANGES = {"more": "credentials: {api_keys: {}}"}
PYTHON_CLIENT = Path(__file__).parents[2] / "examples" / "locks" / "python"


async def key_of(around: World, owner: str, scopes: Sequence[str] = ("locks",)) -> str:
    """Make an API key."""
    store = RedisStore(redis_client(around.store.url, 2.0), "", 2.0)
    try:
        keys = RedisApiKeys(store, KeySealer([SESSION_KEY.encode()]))
        return (await keys.create("ci", owner, lifetime_s=60, scopes=scopes))[0]
    finally:
        await store.aclose()


async def ask(port: int, key: str, name: str, action: str, **members: Any) -> Answer:
    """One request for a lock, on a connection of its own."""
    fields = f"Authorization: Bearer {key}", "Content-Type: application/json"
    body = orjson.dumps({"action": action, **members})
    return await fetch(port, "POST", f"/_gateway/locks/{name}", *fields, body=body)


async def test_twenty_clients_and_one_lock(around: World, tmp_path: Path) -> None:
    """At two gateways: they work one after the other, each with a higher fence."""
    key = await key_of(around, "service:shop")
    at_work: list[str] = []
    fences: list[int] = []

    async def client(port: int) -> None:
        while (got := await ask(port, key, "report", "acquire", wait="10s")).status != 201:
            assert 409 == got.status
        mine = {name: got.json()[name] for name in ("holder", "fence")}
        at_work.append(mine["holder"])
        assert [mine["holder"]] == at_work, "none but this one"
        fences.append(mine["fence"])
        assert 200 == (await ask(port, key, "report", "renew", **mine)).status
        at_work.remove(mine["holder"])
        assert 204 == (await ask(port, key, "report", "release", **mine)).status

    async with gateway(around.gateway.config.read_text(), tmp_path) as other:
        ports = [around.port, other.port] * 10
        await asyncio.gather(*map(client, ports))
    assert (20, sorted(fences)) == (len(set(fences)), fences)


async def test_a_holder_that_is_killed(around: World) -> None:
    """Its lease ends, and another has the lock with a higher fence."""
    key = await key_of(around, "service:shop")
    holder = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", HOLDING),
        cwd=PYTHON_CLIENT,
        env={"GATEWAY_URL": f"http://127.0.0.1:{around.port}", "GATEWAY_API_KEY": key},
        stdout=asyncio.subprocess.PIPE,
    )
    assert holder.stdout is not None
    fence = int(await holder.stdout.readline())
    assert 409 == (await ask(around.port, key, "row", "acquire")).status
    holder.kill()
    await holder.wait()

    got = await ask(around.port, key, "row", "acquire", wait="10s")
    assert 201 == got.status
    assert got.json()["fence"] > fence


HOLDING = """
from gateway_lock import gateway_lock
import threading
with gateway_lock("row", lease_s=2) as lock:
    print(lock.fence, flush=True)
    threading.Event().wait()
"""


async def test_the_client_in_python(around: World) -> None:
    """It renews its lease, is refused while another has the lock, and releases it."""
    key = await key_of(around, "service:shop")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", USING),
        cwd=PYTHON_CLIENT,
        env={"GATEWAY_URL": f"http://127.0.0.1:{around.port}", "GATEWAY_API_KEY": key},
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    assert b"held\nstill here\nreleased\nlost\n" == said


USING = """
import gateway_lock as locks

with locks.gateway_lock("mail", lease_s=2) as lock:
    try:
        with locks.gateway_lock("mail", wait_s=2):
            print("had by two")
    except locks.LockHeldError:
        print("held")
    print("lost" if lock.lost.is_set() else "still here")
with locks.gateway_lock("mail", lease_s=1, wait_s=0) as lock:
    print("released")
    locks._ask("mail", {"action": "release", "holder": lock.holder, "fence": lock.fence})
    lock.lost.wait(20) and print("lost")
"""


@pytest.mark.parametrize("said", [b"", b"no HTTP\r\n"])
async def test_the_client_in_python_notices_a_renewal_without_an_answer(said: bytes) -> None:
    """Its lease may end then: the work learns of it before, not when the request has timed out."""
    body = b'{"fence": 1}'
    acquired = b"HTTP/1.1 201 Created\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    answering = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answering.append(asyncio.current_task())
        await reader.readuntil(b"\r\n\r\n")
        is_first = b"acquire" in await reader.readuntil(b"}")
        writer.write(acquired if is_first else said)
        if not is_first and not said:
            await reader.read()  # until the client leaves
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", LOSING),
            cwd=PYTHON_CLIENT,
            env={
                "GATEWAY_URL": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}",
                "GATEWAY_API_KEY": "key",
            },
            stdout=asyncio.subprocess.PIPE,
        )
        told, _ = await process.communicate()
        await asyncio.wait({task for task in answering if task is not None})
    assert b"lost\n" == told


LOSING = """
from gateway_lock import gateway_lock
import os
with gateway_lock("mail", lease_s=1) as lock:
    print("lost" if lock.lost.wait(10) else "never told", flush=True)
    os._exit(0)
"""


async def test_two_owners_do_not_meet(around: World) -> None:
    """Two keys of one owner do."""
    shop, crm = [await key_of(around, owner) for owner in ("service:a", "service:b")]
    got = await ask(around.port, shop, "name", "acquire", holder="run")
    mine = {name: got.json()[name] for name in ("holder", "fence")}
    assert 412 == (await ask(around.port, crm, "name", "release", **mine)).status
    assert 201 == (await ask(around.port, crm, "name", "acquire")).status

    second_key = await key_of(around, "service:a")
    assert 409 == (await ask(around.port, second_key, "name", "acquire")).status
    assert 204 == (await ask(around.port, second_key, "name", "release", **mine)).status


async def test_who_may_use_locks(around: World) -> None:
    """API keys with the scope alone: neither those without, nor people."""
    scoped = await key_of(around, "service:shop", ["reports", "locks"])
    assert 201 == (await ask(around.port, scoped, "mine", "acquire")).status

    for scopes in ([], ["lock", "locks:read"]):
        other = await key_of(around, "service:shop", scopes)
        refused = await ask(around.port, other, "mine", "acquire")
        assert (403, "scope_missing") == (refused.status, refused.json()["reason"])

    token = around.bearer().removeprefix("Authorization: Bearer ")
    person = await ask(around.port, token, "mine", "acquire")
    assert (401, "credential_not_accepted") == (person.status, person.code)


async def test_a_client_that_left_is_not_served(around: World) -> None:
    """A request that waited for it gives the lock back."""
    key = await key_of(around, "service:shop")
    got = await ask(around.port, key, "left", "acquire")
    mine = {name: got.json()[name] for name in ("holder", "fence")}
    async with connected(around.port) as leaving:
        reset_at_end(leaving)
        body = orjson.dumps({"action": "acquire", "lease": "1h", "wait": "10s"})
        await leaving.send(head(key, "left", len(body)) + body)
        assert 409 == (await ask(around.port, key, "left", "acquire", wait="100ms")).status
    assert 409 == (await ask(around.port, key, "left", "acquire", wait="100ms")).status
    assert 204 == (await ask(around.port, key, "left", "release", **mine)).status
    assert 201 == (await ask(around.port, key, "left", "acquire", wait="10s")).status


def head(key: str, name: str, length: int) -> bytes:
    """The head of a request for a lock."""
    return (
        f"POST /_gateway/locks/{name} HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: Bearer {key}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()


def reset_at_end(client: RawClient) -> None:
    """Let the connection end by a reset: the client is not only done with sending."""
    sock = client.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
