"""Connections on which an answer waits that was not asked for."""

import asyncio
from typing import Any

from aiohttp import ClientSession

from gateway.util.quiet_connector import QuietConnector

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"


async def test_a_connection_is_used_again_while_nothing_comes_on_it() -> None:
    """The one that has told something more is closed, and another one opened."""
    writers: list[asyncio.StreamWriter] = []
    count = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        writers.append(writer)
        while (await reader.readline()).strip():
            while (await reader.readline()).strip():
                pass
            count += 1
            writer.write(ANSWER + b"%d" % count)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    connector = QuietConnector()
    try:
        async with ClientSession(connector=connector) as session:

            async def answer() -> bytes:
                async with session.get(url) as response:
                    return await response.read()

            assert [b"1", b"2"] == [await answer(), await answer()]
            assert 1 == len(writers)
            idle: Any = connector._conns
            [[(kept, _)]] = idle.values()

            writers[0].write(ANSWER + b"x")
            async with asyncio.timeout(20):
                while not kept.should_close:
                    await asyncio.sleep(0)

            assert [b"3", b"4"] == [await answer(), await answer()]
            assert 2 == len(writers)
    finally:
        server.close()
