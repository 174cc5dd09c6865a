"""Examines a store with harmless commands, as ``gateway store check`` does."""

import asyncio
import secrets
import time
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, suppress
from hashlib import sha1
from statistics import median
from typing import NamedTuple, Protocol, cast, runtime_checkable

from gateway.core.errors import StoreUnavailable
from gateway.store.asking import Ask, CommandRefused
from gateway.store.server import StoreOptions, StoreServer
from gateway.store.server_info import (
    StoreFinding,
    info_fields,
    judge_clock,
    judge_cluster,
    judge_permissions,
    judge_persistence,
    judge_round_trip,
    judge_server,
)
from gateway.util.background import background

ROUND_TRIPS = 21
HEARD_WITHIN_S = 5.0
KEPT_MS = 10_000
"""How long a key of the check lives, where it could not be deleted."""

_SCRIPT = "return 1"

Word = str | int


@runtime_checkable
class AskedServer(Protocol):
    """A `StoreServer` that takes any command, for operators."""

    def asking(self) -> AbstractAsyncContextManager[Ask]:
        """Open a connection, and yield what asks on it."""


class TrialKeys(NamedTuple):
    """Keys of a check, with the prefix; they are deleted in the end."""

    value: str
    mapping: str
    members: str
    ranks: str
    stream: str
    channel: str


def trial_keys(prefix: str, name: str) -> TrialKeys:
    """Make the keys of one check, which no other program has."""
    return TrialKeys(*(f"{prefix}check:{name}:{kind}" for kind in ("v", "h", "s", "z", "x", "c")))


def trials(keys: TrialKeys, now_ms: int) -> Iterator[tuple[Word, ...]]:
    """Yield a call of each command that the gateway sends, on keys of the check alone."""
    value, mapping, members, ranks, stream, channel = keys
    digest = sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()
    yield from (("PING",), ("ECHO", "x"), ("TIME",))
    yield from (("SET", value, "1", "PX", KEPT_MS), ("GET", value), ("MGET", value))
    yield from (("GETEX", value), ("TYPE", value), ("EXISTS", value))
    yield from (("EVAL", _SCRIPT, 0), ("EVALSHA", digest, 0))
    yield from (("HSET", mapping, "f", "1"), ("HGET", mapping, "f"), ("HGETALL", mapping))
    yield from (("HLEN", mapping), ("HDEL", mapping, "f"), ("HINCRBY", mapping, "n", 1))
    yield from (("SADD", members, "m"), ("SMEMBERS", members), ("SREM", members, "m"))
    yield from (("ZADD", ranks, 1, "m"), ("ZSCORE", ranks, "m"), ("ZREVRANGE", ranks, 0, -1))
    yield from (("ZCARD", ranks), ("ZREVRANGEBYSCORE", ranks, 1, 0), ("ZREM", ranks, "m"))
    yield from (("ZRANGEBYSCORE", ranks, 0, 1), ("ZRANGEBYLEX", ranks, "-", "+"))
    yield from (("ZLEXCOUNT", ranks, "-", "+"), ("ZCOUNT", ranks, 0, 1))
    yield from (("ZREMRANGEBYRANK", ranks, 0, -1), ("ZREMRANGEBYSCORE", ranks, 0, 0))
    yield from (("XADD", stream, "1-1", "f", "1"), ("XLEN", stream), ("XDEL", stream, "1-1"))
    yield from (("XRANGE", stream, "-", "+"), ("XREVRANGE", stream, "+", "-"))
    yield ("XTRIM", stream, "MAXLEN", 0)
    yield from (("PTTL", value), ("PEXPIRE", value, KEPT_MS))
    yield from (("PEXPIREAT", value, now_ms + KEPT_MS), ("PUBLISH", channel, ""))
    yield ("SCAN", 0, "MATCH", value, "COUNT", 1)
    for key in (value, mapping, members, ranks, stream):
        yield ("DEL", key)


async def examine(server: StoreServer, options: StoreOptions) -> list[StoreFinding]:
    """
    Examine the store that ``server`` opens.

    A server that takes any command is asked about itself, too. Raises `StoreUnavailable`.
    """
    findings = await _round_trips(server, options)
    if isinstance(server, AskedServer):
        async with server.asking() as ask:
            findings += await _asked(ask, options)
    findings.append(await _published(server))
    return findings


async def _round_trips(server: StoreServer, options: StoreOptions) -> list[StoreFinding]:
    store = server.store(lambda: None)
    try:
        await store.ping()
        took_s = []
        for _ in range(ROUND_TRIPS):
            began_s = time.perf_counter()
            await store.ping()
            took_s.append(time.perf_counter() - began_s)
    finally:
        await store.aclose()
    return [judge_round_trip(median(took_s), options.timeout_s)]


async def _asked(ask: Ask, options: StoreOptions) -> list[StoreFinding]:
    findings: list[StoreFinding] = []
    refused: dict[str, str] = {}
    of_confirm: list[tuple[Word, ...]] = [("WAIT", 0, 1)] if options.confirm else []
    keys = trial_keys(options.prefix, secrets.token_hex(8))
    for command in (*trials(keys, _now_ms()), *of_confirm):
        try:
            await ask(*command)
        except CommandRefused as error:
            refused.setdefault(str(command[0]), error.code)
    findings.append(judge_permissions(refused))
    if "TIME" not in refused:
        findings.append(await _clock(ask))
    return findings + await _described(ask, options)


async def _clock(ask: Ask) -> StoreFinding:
    before_s = time.time()
    seconds, microseconds = cast("list[bytes]", await ask("TIME"))
    after_s = time.time()
    theirs_s = int(seconds) + int(microseconds) / 1e6
    return judge_clock(theirs_s - (before_s + after_s) / 2, after_s - before_s)


async def _described(ask: Ask, options: StoreOptions) -> list[StoreFinding]:
    """Judge what the server says of itself, as far as the user may ask."""
    try:
        info = info_fields(_text(await ask("INFO")))
    except CommandRefused as error:
        text = f"not told ({error.code} INFO): version, memory policy, persistence, replication"
        return [StoreFinding("server", "warning", text)]
    save: str | None = None
    with suppress(CommandRefused):
        reply = await ask("CONFIG", "GET", "save")
        values = list(reply.values()) if isinstance(reply, dict) else cast("list[bytes]", reply)[1:]
        save = _text(values[0]) if values else None
    findings = [*judge_server(info), judge_persistence(info, save)]
    if info.get("cluster_enabled") == "1":
        if "+cluster:" not in options.url:
            text = "a node of a cluster: name it by redis+cluster:// in redis.url"
            findings.append(StoreFinding("cluster", "problem", text))
        with suppress(CommandRefused):
            findings.append(judge_cluster(info_fields(_text(await ask("CLUSTER", "INFO")))))
    return findings


async def _published(server: StoreServer) -> StoreFinding:
    """Publish, and wait until that is heard."""
    channel = f"check:{secrets.token_hex(8)}:c"
    heard, subscribed = asyncio.Event(), asyncio.Event()
    store = server.store(lambda: None)
    try:
        async with background(server.listen(channel, lambda _: heard.set(), subscribed.set)):
            async with asyncio.timeout(HEARD_WITHIN_S):
                await subscribed.wait()
                await store.publish(channel, b"check")
                await heard.wait()
    except TimeoutError:
        state = "a message was not heard" if subscribed.is_set() else "not subscribed"
        return StoreFinding("pub/sub", "problem", f"{state} within {HEARD_WITHIN_S:.0f} s")
    except StoreUnavailable as error:
        return StoreFinding("pub/sub", "problem", f"not published: {error.reason}")
    finally:
        await store.aclose()
    return StoreFinding("pub/sub", "ok", "a message was heard")


def _now_ms() -> int:
    return int(time.time() * 1000)


def _text(reply: object) -> str:
    return reply.decode(errors="replace") if isinstance(reply, bytes) else str(reply)
