"""Recorders of requests."""

import asyncio
from pathlib import Path

from gateway.selftest.recorder import Recorder, recording


async def recorded(folder: Path, raw: bytes) -> Recorder:
    """What a recorder keeps of ``raw``."""
    async with recording("app", folder / "s") as recorder:
        reader, writer = await asyncio.open_unix_connection(folder / "s")
        writer.write(raw)
        writer.write_eof()
        await reader.read()
        writer.close()
        await writer.wait_closed()
    return recorder


async def test_requests_of_one_connection(tmp_path: Path) -> None:
    """Each request is kept, with its body, whatever its framing."""
    chunked = b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    raw = chunked + b"3\r\nabc\r\n0\r\n\r\nPUT /b HTTP/1.1\r\nContent-Length: 2\r\n\r\nde"
    found = (await recorded(tmp_path, raw)).arrived
    assert [("POST", "/a", b"abc"), ("PUT", "/b", b"de")] == [
        (each.method, each.target, each.body) for each in found
    ]
    assert ["x"] == found[0].values("host")
    assert found[0].head == chunked


async def test_what_is_no_http(tmp_path: Path) -> None:
    """What the recorder cannot read is kept, and is no request; a half of one is nothing."""
    recorder = await recorded(tmp_path, b"no http\r\n\r\n")
    assert ([], [b"no http\r\n\r\n"]) == (recorder.arrived, recorder.unreadable)


async def test_half_a_request_is_none(tmp_path: Path) -> None:
    """A request that breaks off has not arrived."""
    recorder = await recorded(tmp_path, b"PUT /b HTTP/1.1\r\nContent-Length: 2\r\n\r\nd")
    assert ([], []) == (recorder.arrived, recorder.unreadable)
