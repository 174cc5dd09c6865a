"""Scripts that the server does not know, and the flag that Upstash takes."""

import asyncio
from contextlib import suppress
from hashlib import sha1
from typing import Any

import pytest
from redis.exceptions import (
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
)

from gateway.core.errors import StoreUnavailable
from gateway.core.ports import Script
from gateway.core.replies import is_count
from gateway.store.exchanges import ReplyCheck
from gateway.store.line import Line
from gateway.store.packing import Command, words_of
from gateway.store.redis import RedisStore

ONE = Script("one", "return 1", is_count)
TWO = Script("two", "return 2", is_count)
FLAG = "#!lua flags=allow-key-locking\n"


class ScriptServer:
    """Knows scripts by their names, once it was sent them."""

    def __init__(self, *, takes_flag: bool, fails: bool = False) -> None:
        self.takes_flag = takes_flag
        self.fails = fails
        self.error: Exception | None = None
        self.refusal = "Unexpected flag in script shebang: allow-key-locking"
        self.known: set[str] = set()
        self.asked: list[tuple[str, str]] = []

    def take_ready(self, now_s: float) -> Line | None:  # noqa: ARG002 (of the protocol)
        return None

    async def execute(self, commands: list[Command], check: ReplyCheck) -> list[Any]:
        replies = [self._reply(*map(str, words_of(command)[:2])) for command in commands]
        check(replies)
        return replies

    def _reply(self, name: str, script: str) -> object:
        self.asked.append((name, script))
        if name == "MGET":
            return [None]
        if name == "EVALSHA":
            return 7 if script in self.known else NoScriptError("unknown")
        if self.error is not None:
            return self.error
        if script.startswith("#!") and not self.takes_flag:
            return ResponseError(self.refusal)
        if self.fails:
            return ResponseError("failed")
        self.known.add(_name(script))
        return 7

    async def read(self, commands: list[Command], check: ReplyCheck, _trial: int) -> list[Any]:
        return await self.execute(commands, check)

    async def aclose(self) -> None:
        pass


def _name(text: str) -> str:
    return sha1(text.encode(), usedforsecurity=False).hexdigest()


def _store(server: ScriptServer, *, locks_keys: bool) -> RedisStore:
    return RedisStore(server, "", 5, locks_keys=locks_keys)


async def test_a_server_that_takes_the_flag_gets_it_with_every_script() -> None:
    """It is asked once; the name of a script is that of the text with the flag."""
    server = ScriptServer(takes_flag=True)
    store = _store(server, locks_keys=True)

    for script in (ONE, TWO, ONE):
        assert 7 == await store.run(script, ["k"], [])

    assert [
        ("EVALSHA", _name(FLAG + ONE.source)),
        ("EVAL", FLAG + "return 1"),
        ("EVAL", FLAG + ONE.source),
        ("EVALSHA", _name(FLAG + TWO.source)),
        ("EVAL", FLAG + TWO.source),
        ("EVALSHA", _name(FLAG + ONE.source)),
    ] == server.asked


async def test_a_server_that_refuses_the_flag_is_not_sent_it_again() -> None:
    """The first script runs without it, once."""
    server = ScriptServer(takes_flag=False)
    store = _store(server, locks_keys=True)

    for script in (ONE, TWO, ONE):
        assert 7 == await store.run(script, ["k"], [])

    assert [
        ("EVALSHA", _name(FLAG + ONE.source)),
        ("EVAL", FLAG + "return 1"),
        ("EVAL", ONE.source),
        ("EVALSHA", _name(TWO.source)),
        ("EVAL", TWO.source),
        ("EVALSHA", _name(ONE.source)),
    ] == server.asked


async def test_servers_of_other_makers_are_not_asked() -> None:
    """Redis and Valkey refuse the flag."""
    server = ScriptServer(takes_flag=False)
    store = _store(server, locks_keys=False)

    assert 7 == await store.run(ONE, ["k"], [])

    assert [("EVALSHA", _name(ONE.source)), ("EVAL", ONE.source)] == server.asked


async def test_a_script_that_fails_is_not_run_again() -> None:
    """It may have done a part of its work."""
    server = ScriptServer(takes_flag=True, fails=True)
    store = _store(server, locks_keys=False)

    with pytest.raises(StoreUnavailable, match="ResponseError"):
        await store.run(ONE, ["k"], [])

    assert [("EVALSHA", _name(ONE.source)), ("EVAL", ONE.source)] == server.asked


async def test_a_script_that_replies_what_it_cannot_is_refused() -> None:
    """The reply may be that of another command."""
    server = ScriptServer(takes_flag=True)
    store = _store(server, locks_keys=False)

    with pytest.raises(StoreUnavailable, match="wrong reply: text"):
        await store.run(Script("text", "return 'a'", lambda reply: reply == b"a"), ["k"], [])


@pytest.mark.parametrize(
    "error",
    [
        ResponseError("max daily request limit exceeded. Limit: 10000, Usage: 10000."),
        ResponseError("MISCONF Redis is configured to save RDB snapshots"),
        OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
        NoPermissionError("this user has no permissions to run the 'eval' command"),
        ReadOnlyError("You can't write against a read only replica."),
    ],
)
async def test_an_error_that_is_not_about_the_flag_leaves_the_question_open(
    error: Exception,
) -> None:
    """Else every script would take the lock of the whole database from then on."""
    server = ScriptServer(takes_flag=True)
    server.error = error
    store = _store(server, locks_keys=True)
    with pytest.raises(StoreUnavailable):
        await store.run(ONE, ["k"], [])
    server.error = None
    await _until_it_answers(store)

    assert 7 == await store.run(ONE, ["k"], [])

    assert (FLAG + ONE.source) == server.asked[-1][1]


@pytest.mark.parametrize(
    "text",
    [
        "Unexpected flag in script shebang: allow-key-locking",
        "ERR Unexpected flag in script shebang: allow-key-locking",
        "Error compiling script (new function): user_script:1: unexpected symbol near '#'",
        "Error running script: error loading code: [string]:1: unexpected symbol near '#'",
    ],
)
async def test_servers_say_in_several_ways_that_they_do_not_take_the_flag(text: str) -> None:
    """Those before version 7 know no first line of that kind."""
    server = ScriptServer(takes_flag=False)
    server.refusal = text
    store = _store(server, locks_keys=True)

    assert 7 == await store.run(ONE, ["k"], [])


async def _until_it_answers(store: RedisStore) -> None:
    """Wait while callers are refused because of a failure a moment ago."""
    async with asyncio.timeout(20):
        while True:
            with suppress(StoreUnavailable):
                await store.get("k")
                return
            await asyncio.sleep(0.01)
