"""
Frames through the gateway fare as they do without it, whatever they are (after autobahn's cases).

Each script of frames is sent to the app directly and through the gateway; what comes back must be
the same, byte for byte, to the end.
"""

import asyncio
import struct
import zlib
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import NamedTuple

import pytest
import pytest_asyncio
from websockets.frames import Frame, Opcode

from gateway.proxy.tunnel.websocket import FrameScanner
from tests.fakes.world import World, world

pytestmark = pytest.mark.asyncio(loop_scope="module")

HANDSHAKE = (
    "GET /open/x HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{}\r\n"
)
DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate{}\r\n"

TEXT, BINARY, CONT, CLOSE, PING, PONG = (
    Opcode.TEXT,
    Opcode.BINARY,
    Opcode.CONT,
    Opcode.CLOSE,
    Opcode.PING,
    Opcode.PONG,
)


class Script(NamedTuple):
    """What a client sends after its handshake."""

    parts: tuple[bytes, ...]
    extension: str = ""
    early: bytes = b""
    """What it sends before all that, without waiting for the app's 101."""
    leaves_after: int | None = None
    """After how many bytes of answer the client stops sending; None: after a Close frame."""


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0) -> bytes:
    """A frame as a client sends it, well formed or not."""
    head = bytes([fin << 7 | rsv << 4 | opcode])
    size = len(payload)
    mask = b"\x21\x42\x63\x84"
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 1 << 16:
        head += bytes([0x80 | 126]) + struct.pack("!H", size)
    else:
        head += bytes([0x80 | 127]) + struct.pack("!Q", size)
    key = (mask * (size // 4 + 1))[:size]
    masked = (int.from_bytes(payload) ^ int.from_bytes(key)).to_bytes(size) if size else b""
    return head + mask + masked


def close(code: int | None = 1000, reason: bytes = b"") -> bytes:
    """A Close frame."""
    return frame(CLOSE, b"" if code is None else struct.pack("!H", code) + reason)


BYE = close()


def chopped(data: bytes, size: int) -> Iterator[bytes]:
    """The same bytes in small writes."""
    return (data[at : at + size] for at in range(0, len(data), size))


def fragments(opcode: int, parts: Iterable[bytes]) -> bytes:
    """One message in several frames."""
    parts = tuple(parts)
    last = len(parts) - 1
    return b"".join(
        frame(opcode if at == 0 else CONT, part, fin=at == last) for at, part in enumerate(parts)
    )


def deflated(text: bytes) -> bytes:
    """As permessage-deflate sends a message (RFC 7692 section 7.2.1)."""
    deflate = zlib.compressobj(wbits=-15)
    return (deflate.compress(text) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]


BIG = bytes(range(256)) * (16 << 12)  # 16 MiB

CASES: dict[str, Script] = {
    # messages of all sizes, in one write and in many
    **{f"text-{n}": Script((frame(TEXT, b"*" * n), BYE)) for n in (0, 125, 126, 127, 65535, 65536)},
    **{f"binary-{n}": Script((frame(BINARY, b"\xfe" * n), BYE)) for n in (0, 125, 126, 65536)},
    "chopped": Script((*chopped(frame(TEXT, b"*" * 65536) + BYE, 997),)),
    "byte-by-byte": Script((*chopped(frame(TEXT, b"hello") * 3 + BYE, 1),)),
    "many": Script((b"".join(frame(TEXT, b"%d" % n) for n in range(500)) + BYE,)),
    "16-MiB": Script((frame(BINARY, BIG), BYE)),
    "16-MiB-in-fragments": Script((fragments(BINARY, chopped(BIG, 1 << 18)), BYE)),
    # pings and pongs
    "ping": Script((frame(PING), BYE)),
    "ping-125": Script((frame(PING, b"p" * 125), BYE)),
    "ping-126": Script((frame(PING, b"p" * 126), BYE)),
    "pong-unasked": Script((frame(PONG, b"x") + frame(PING, b"y"), BYE)),
    "ping-flood": Script((b"".join(frame(PING, b"%d" % n) for n in range(2000)) + BYE,)),
    "ping-byte-by-byte": Script((*chopped(frame(PING, b"payload") + BYE, 1),)),
    # reserved bits and opcodes
    **{f"rsv-{n}": Script((frame(TEXT, b"x", rsv=n), BYE)) for n in range(1, 8)},
    "rsv-ping": Script((frame(PING, b"x", rsv=4), BYE)),
    **{f"opcode-{n}": Script((frame(n, b"x"), BYE)) for n in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    # fragmentation
    "fragmented": Script((fragments(TEXT, (b"frag", b"ment")), BYE)),
    "fragments-empty": Script((fragments(TEXT, (b"", b"", b"")), BYE)),
    "ping-between": Script(
        (frame(TEXT, b"a", fin=False) + frame(PING, b"p") + frame(CONT, b"b"), BYE)
    ),
    "close-between": Script((frame(TEXT, b"a", fin=False) + BYE,)),
    "ping-fragmented": Script((frame(PING, b"a", fin=False) + frame(CONT, b"b"), BYE)),
    "continuation-of-nothing": Script((frame(CONT, b"b"), BYE)),
    "text-inside-text": Script((frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), BYE)),
    "fragments-chopped": Script((*chopped(fragments(TEXT, (b"a" * 300, b"b" * 300)) + BYE, 7),)),
    # UTF-8
    "utf-8": Script((frame(TEXT, "Hello-µ@ßöä€🎉".encode()), BYE)),
    "utf-8-split": Script((fragments(TEXT, (b"\xce\xba\xe1", b"\xbd\xb9")), BYE)),
    "utf-8-wrong": Script((frame(TEXT, b"\xce\xba\xed\xa0\x80"), BYE)),
    "utf-8-wrong-in-fragment": Script((fragments(TEXT, (b"ok", b"\xff")), BYE)),
    "utf-8-cut-short": Script((frame(TEXT, b"\xf0\x9f"), BYE)),
    # closing
    **{
        f"close-{n}": Script((close(n),))
        for n in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
    },
    **{
        f"close-not-{n}": Script((close(n),))
        for n in (0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65535)
    },
    "close-empty": Script((close(None),)),
    "close-one-byte": Script((frame(CLOSE, b"\x03"),)),
    "close-reason": Script((close(1000, b"r" * 123),)),
    "close-reason-too-long": Script((close(1000, b"r" * 124),)),
    "close-reason-no-utf-8": Script((close(1000, b"\xff"),)),
    "after-close": Script((BYE + frame(TEXT, b"late") + frame(PING),)),
    "close-twice": Script((BYE + BYE,)),
    # compression
    "deflate": Script((frame(TEXT, deflated(b"hello" * 99), rsv=4), BYE), DEFLATE.format("")),
    "deflate-not-this-one": Script((frame(TEXT, b"plain") + BYE,), DEFLATE.format("")),
    "deflate-in-fragments": Script(
        (
            frame(TEXT, deflated(b"hello" * 99)[:5], rsv=4, fin=False)
            + frame(CONT, deflated(b"hello" * 99)[5:])
            + BYE,
        ),
        DEFLATE.format(""),
    ),
    "deflate-big": Script((frame(BINARY, deflated(BIG), rsv=4), BYE), DEFLATE.format("")),
    "deflate-broken": Script((frame(TEXT, b"\xff\xff\xff", rsv=4), BYE), DEFLATE.format("")),
    "deflate-no-takeover": Script(
        (b"".join(frame(TEXT, deflated(b"%d" % n), rsv=4) for n in range(9)) + BYE,),
        DEFLATE.format("; server_no_context_takeover; client_no_context_takeover"),
    ),
    "deflate-window": Script(
        (frame(TEXT, deflated(b"w"), rsv=4) + BYE,),
        DEFLATE.format("; server_max_window_bits=9"),
    ),
    # what no client should do
    "unmasked": Script((Frame(TEXT, b"x").serialize(mask=False), BYE)),
    "half-a-head": Script((frame(TEXT, b"x")[:1],), leaves_after=0),
    "half-a-frame": Script((frame(TEXT, b"x" * 500)[:77],), leaves_after=0),
    "half-a-frame-after-one": Script(
        (frame(TEXT, b"first") + frame(TEXT, b"x" * 500)[:77],), leaves_after=7
    ),
    "length-not-minimal": Script((b"\x81\xfe\x00\x01\x00\x00\x00\x00x", BYE)),
    "length-2-63": Script((b"\x82\xff" + b"\x80" + b"\0" * 7 + b"mask" + b"x",), leaves_after=0),
    "http": Script((b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",)),
    "nothing": Script((), leaves_after=0),
    # before the app has agreed
    "early": Script((BYE,), early=frame(TEXT, b"early")),
    "early-and-big": Script((BYE,), early=frame(BINARY, BIG[: 1 << 20])),
    "early-and-deflated": Script(
        (BYE,), DEFLATE.format(""), early=frame(TEXT, deflated(b"early"), rsv=4)
    ),
}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def around(tmp_path_factory: pytest.TempPathFactory, echo: int) -> AsyncIterator[World]:
    """A gateway before it."""
    async with world(
        tmp_path_factory.mktemp("gateway"),
        more_upstreams=f'  echo: {{servers: ["http://127.0.0.1:{echo}"]}}',
        more_routes='  - {name: open, match: {path: "/open/*"}, auth: none, upstream: echo}',
    ) as running:
        yield running


async def transcript(port: int, script: Script) -> tuple[list[bytes], bytes]:
    """What was agreed in the handshake, and all that comes after it until the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 26)
    try:
        async with asyncio.timeout(20):
            writer.write(HANDSHAKE.format(script.extension).encode() + script.early)
            head = await reader.readuntil(b"\r\n\r\n")
            agreed = [line for line in head.split(b"\r\n") if line.startswith(b"Sec-WebSocket-")]
            sending = asyncio.create_task(_send(writer, script.parts))
            if script.leaves_after is not None:
                await sending
            answer = await _all(reader, writer, script.leaves_after)
            await sending
            return agreed, answer
    finally:
        writer.transport.abort()


async def _send(writer: asyncio.StreamWriter, parts: Iterable[bytes]) -> None:
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
    except (ConnectionError, RuntimeError):  # the app has heard enough, and we have left
        return


async def _all(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, leaves_after: int | None
) -> bytes:
    """What has come until the end, or the reset: which of the two is a race of the kernel's."""
    answer, frames = bytearray(), FrameScanner()
    try:
        while True:
            if frames.has_close if leaves_after is None else len(answer) >= leaves_after:
                writer.write_eof()
            if not (data := await reader.read(1 << 20)):
                break
            frames.feed(data)
            answer += data
    except ConnectionError:
        pass
    return bytes(answer)


@pytest.mark.parametrize("name", CASES)
async def test_frames_fare_as_without_the_gateway(around: World, echo: int, name: str) -> None:
    """The same handshake, the same answers, the same end."""
    direct = await transcript(echo, CASES[name])
    through = await transcript(around.port, CASES[name])
    assert direct[0] == through[0]
    assert direct[1] == through[1]
    assert direct[1] or CASES[name].leaves_after == 0
