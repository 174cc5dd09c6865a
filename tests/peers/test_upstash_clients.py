"""Upstash's own clients, unmodified, against ``gateway upstash``: those of npm and of PyPI."""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.fakes.upstash import RestDatabase, rest_database

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

SCRIPTS = Path(__file__).parent / "upstash"
RUN_S = 60

FOUND_BY_REDIS_JS: dict[str, Any] = {
    "set": "OK",
    "get": {"name": "Ada", "tags": ["a", 1, None]},
    "nx": None,
    "ttl": True,
    "absent": None,
    "ok": ["OK", "OK"],
    "unicode": ["OK", "é😀\n"],
    "numbers": ["OK", 1.5, 41, 42],
    "big": ["OK", "12345678901234567890"],
    "hash": [2, {"a": 1, "b": {"c": True}}, {"a": 1, "x": None}],
    "list": [2, ["a", "b"]],
    "zset": [2, ["a", 1.5, "b", 2]],
    "scan": ["u", "user"],
    "stream": ["string", [{"a": 1}]],
    "binary": ["OK", 1, 0xFFFD],
    "pipeline": ["OK", 2, 2],
    "errors": [
        {"result": "OK"},
        {"error": "ERR value is not an int or out of range"},
        {"result": "x"},
    ],
    "multi": ["OK", 2],
    "eval": [
        ["k", "a", None],
        "UpstashError: Command failed: NOSCRIPT No matching script. Please use EVAL.",
    ],
    "script": [1, 2, [1]],
    "readOnlyScript": 2,
    "auto": ["OK", 1, {"name": "Ada", "tags": ["a", 1, None]}, ["OK", None]],
    "raw": "1.5",
    "readOnlyGet": 2,
}

REFUSED_TO_REDIS_JS = {
    "discarded": "EXECABORT Transaction discarded because of previous errors.",
    "wrongType": "WRONGTYPE Operation against a key holding the wrong kind of value",
    "unauthorized": "WRONGPASS invalid or missing auth token",
    "readOnly": "NOPERM this user has no permissions to run the 'set' command or its subcommand",
}

PYTHON_REDIS = """
import asyncio, json
from upstash_redis import Redis
from upstash_redis.asyncio import Redis as AsyncRedis
from upstash_redis.errors import UpstashError

redis = Redis.from_env()
redis.flushdb()
found = {
    "set": redis.set("user", {"a": [1, None]}, ex=100),
    "get": redis.get("user"),
    "absent": redis.get("none"),
    "numbers": [redis.set("n", 1.5), redis.get("n"), redis.incrby("i", 41), redis.incr("i")],
    "hash": [redis.hset("h", values={"a": 1, "é": "ü"}), redis.hgetall("h")],
    "zset": [redis.zadd("z", {"a": 1.5}), redis.zrange("z", 0, -1, withscores=True)],
    "ok": [redis.set("ok", "OK"), redis.get("ok")],
    "eval": redis.eval("return {KEYS[1], ARGV[1], false}", keys=["k"], args=["a"]),
    "pipeline": redis.pipeline().set("p", 1).incr("p").get("p").exec(),
    "multi": redis.multi().set("m", 1).incr("m").exec(),
    "publish": redis.publish("chat", "x"),
}
for name, work in {
    "wrong_type": lambda: redis.lpush("m", "x"),
    "unknown": lambda: redis.execute(["NOPE"]),
    "unauthorized": lambda: Redis(redis._url, "x").get("m"),
}.items():
    try:
        work()
    except UpstashError as error:
        found[name] = str(error)


async def asynchronous():
    async with AsyncRedis.from_env() as client:
        return await asyncio.gather(client.set("a", 1), client.get("user"))


found["asynchronous"] = asyncio.run(asynchronous())
print(json.dumps(found))
"""

PYTHON_RATELIMIT = """
import json
from upstash_ratelimit import FixedWindow, Ratelimit, SlidingWindow, TokenBucket
from upstash_redis import Redis

redis = Redis.from_env()
found = {}
for name, limiter in {
    "fixed": FixedWindow(max_requests=3, window=10_000_000),
    "sliding": SlidingWindow(max_requests=3, window=10_000_000),
    "bucket": TokenBucket(max_tokens=3, refill_rate=3, interval=10_000_000),
}.items():
    ratelimit = Ratelimit(redis=redis, limiter=limiter, prefix="python-" + name)
    verdicts = [ratelimit.limit("ada") for _ in range(5)]
    found[name] = [[verdict.allowed, verdict.remaining] for verdict in verdicts]
    found[name + "Left"] = ratelimit.get_remaining("ada")
print(json.dumps(found))
"""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def database() -> AsyncIterator[RestDatabase]:
    """A database for each module; each client takes keys of its own."""
    async with rest_database() as running:
        yield running


async def _said(database: RestDatabase, *words: str) -> Any:
    """What a program prints, with the variables of the database in its environment."""
    environment = os.environ | database.environment | {"UPSTASH_DISABLE_TELEMETRY": "1"}
    process = await asyncio.create_subprocess_exec(
        *words,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(RUN_S):
            stdout, stderr = await process.communicate()
    except TimeoutError:
        process.kill()
        stdout, stderr = await process.communicate()
    assert 0 == process.returncode, stderr.decode()
    return json.loads(stdout)


async def _node(database: RestDatabase, packages: Path, name: str) -> Any:
    script = shutil.copy(SCRIPTS / f"{name}.mjs", packages)
    return await _said(database, "node", str(script))


async def _python(database: RestDatabase, module: str, script: str) -> Any:
    if find_spec(module) is None:
        pytest.skip(f"{module} is not installed: make peers")
    return await _said(database, sys.executable, "-c", script)


async def test_upstash_redis_of_npm(database: RestDatabase, packages: Path) -> None:
    """@upstash/redis: values, pipelines, transactions, scripts, errors, automatic pipelines."""
    found = await _node(database, packages, "redis")
    refused = {name: found.pop(name) for name in REFUSED_TO_REDIS_JS}
    assert FOUND_BY_REDIS_JS == found
    for name, text in REFUSED_TO_REDIS_JS.items():
        assert refused[name].startswith("UpstashError: ")
        assert text in refused[name]


async def test_subscriptions_of_npm(database: RestDatabase, packages: Path) -> None:
    """@upstash/redis hears messages by channel and by pattern."""
    found = await _node(database, packages, "subscribe")
    ada = {"user": "Ada", "text": "a,b"}
    assert ([1, 1, 1], [2, 1, 2]) == (found["heard"], found["counts"])
    messages = [
        *(["message", None, "chat", text] for text in (7, ada)),
        ["message", None, "news", "plain"],
        *(["pmessage", "ch*", "chat", text] for text in (7, ada)),
    ]
    assert messages == found["messages"]


async def test_upstash_ratelimit_of_npm(database: RestDatabase, packages: Path) -> None:
    """@upstash/ratelimit: three algorithms, dynamic limits, analytics, and its cache."""
    found = await _node(database, packages, "ratelimit")
    verdicts = [[True, 2], [True, 1], [True, 0], [False, 0], [False, 0]]
    for name in ("fixed", "sliding", "bucket"):
        assert (verdicts, 0, True) == (found[name], found[f"{name}Left"], found[f"{name}Reset"])
    assert [True, False, "cacheBlock"] == found["cached"]


async def test_upstash_lock_of_npm(database: RestDatabase, packages: Path) -> None:
    """@upstash/lock: one holder at a time."""
    found = await _node(database, packages, "lock")
    assert [True, False, "ACQUIRED", "FREE", True, True, False, True, True, True] == found


async def test_upstash_redis_of_pypi(database: RestDatabase) -> None:
    """upstash-redis, with and without asyncio."""
    found = await _python(database, "upstash_redis", PYTHON_REDIS)
    assert found == {
        "set": True,
        "get": '{"a": [1, null]}',
        "absent": None,
        "numbers": [True, "1.5", 41, 42],
        "hash": [2, {"a": "1", "é": "ü"}],
        "zset": [1, [["a", 1.5]]],
        "ok": [True, "OK"],
        "eval": ["k", "a", None],
        "pipeline": [True, 2, "2"],
        "multi": [True, 2],
        "publish": 0,
        "wrong_type": "WRONGTYPE Operation against a key holding the wrong kind of value",
        "unknown": "ERR Command is not available: 'NOPE'. See"
        " https://upstash.com/docs/redis/overall/rediscompatibility for details",
        "unauthorized": "WRONGPASS invalid or missing auth token",
        "asynchronous": [True, '{"a": [1, null]}'],
    }


async def test_upstash_ratelimit_of_pypi(database: RestDatabase) -> None:
    """upstash-ratelimit: three algorithms."""
    found = await _python(database, "upstash_ratelimit", PYTHON_RATELIMIT)
    for name in ("fixed", "sliding", "bucket"):
        verdicts = [[True, 2], [True, 1], [True, 0], [False, 0], [False, 0]]
        assert (verdicts, 0) == (found[name], found[f"{name}Left"])
