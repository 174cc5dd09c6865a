"""``gateway upstash`` as a process, and the lines that it prints."""

import asyncio
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pytest
from aiohttp import ClientConnectionError, ClientSession

from gateway.upstash.run import lines
from gateway.upstash.server import RestTokens

START_S = 60
STOP_S = 20
EVENTS = {"Accept": "text/event-stream"}


class Printed(NamedTuple):
    """What the process printed at start, and the process."""

    url: str
    token: str
    read_only_token: str
    process: asyncio.subprocess.Process

    async def ask(self, path: str, token: str) -> Any:
        """The answer to a request."""
        headers = {"Authorization": f"Bearer {token}"}
        async with ClientSession() as client, client.get(self.url + path, headers=headers) as sent:
            return await sent.json()


@asynccontextmanager
async def _started(*options: str) -> AsyncIterator[Printed]:
    words = (sys.executable, "-m", "gateway", "upstash", "--port", "0", *options)
    process = await asyncio.create_subprocess_exec(*words, stderr=asyncio.subprocess.PIPE)
    assert process.stderr is not None
    text = ""
    try:
        async with asyncio.timeout(START_S):
            while "# try it" not in text:
                line = await process.stderr.readline()
                assert line, text
                text += line.decode()
        url, token, read_only = re.findall(r"UPSTASH_REDIS_REST_(?:URL|TOKEN)=(.+)", text)
        yield Printed(url, token, read_only, process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_serves_until_a_signal(number: signal.Signals) -> None:
    """With the tokens that it made and printed; a subscriber does not hold it up."""
    async with _started() as printed, ClientSession() as client:
        assert {"result": "OK"} == await printed.ask("/set/a/1", printed.token)
        assert {"result": "1"} == await printed.ask("/get/a", printed.read_only_token)
        assert "NOPERM" in (await printed.ask("/set/a/1", printed.read_only_token))["error"]
        url = f"{printed.url}/subscribe/chat?_token={printed.token}"
        async with client.post(url, headers=EVENTS) as stream:
            assert b"data: subscribe,chat,1\n" == await stream.content.readline()
            printed.process.send_signal(number)
            async with asyncio.timeout(STOP_S):
                assert 0 == await printed.process.wait()
        with pytest.raises(ClientConnectionError):
            await printed.ask("/get/a", printed.token)


async def test_tokens_that_are_given_are_not_printed() -> None:
    """They are what clients send. No other address of the machine is the server's."""
    async with _started("--token", "t1", "--read-only-token", "t2") as printed:
        assert ("<the value of --token>", "<the value of --read-only-token>") == (
            printed.token,
            printed.read_only_token,
        )
        assert {"result": "OK"} == await printed.ask("/set/a/1", "t1")
        assert {"result": "1"} == await printed.ask("/get/a", "t2")
        port = int(printed.url.rpartition(":")[2])
        with socket.socket() as elsewhere, pytest.raises(ConnectionRefusedError):
            elsewhere.connect(("127.0.0.2", port))


async def test_data_is_kept_in_a_directory() -> None:
    """Over a restart."""
    with TemporaryDirectory() as directory:
        for seen in (None, "1"):
            async with _started("--data", directory, "--token", "t") as printed:
                assert {"result": seen} == await printed.ask("/get/a", "t")
                assert {"result": "OK"} == await printed.ask("/set/a/1", "t")
                printed.process.terminate()
                async with asyncio.timeout(STOP_S):
                    assert 0 == await printed.process.wait()


def test_lines_say_where_the_data_is() -> None:
    """And that the server is for development."""
    tokens = RestTokens("s", "r")
    kept, in_memory = (lines(8079, tokens, where) for where in (Path("/data"), None))
    assert "Its data is kept in /data." in kept
    assert "Its data is in memory alone." in in_memory
    assert "for development" in kept
    assert "\nUPSTASH_REDIS_REST_URL=http://127.0.0.1:8079\n" in kept
    assert "\nUPSTASH_REDIS_REST_TOKEN=s\n" in kept
