"""A transport without a socket, for protocols that are tested by the order of their events."""

import asyncio
import socket
from typing import Any

_NO_DESCRIPTOR = 1 << 20


class FakeTransport(asyncio.Transport):
    """Records what is done with it."""

    family = socket.AF_UNIX

    def __init__(self, *, can_half_close: bool = True) -> None:
        super().__init__()
        self.protocol: Any = None
        self.written = bytearray()
        self.done: list[str] = []
        """The calls that end the connection, or a direction of it."""
        self.unsent_bytes = 0
        self.is_reading_now = False
        self.can_half_close = can_half_close
        """False for TLS."""

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if "abort" in self.done:
            raise RuntimeError("closed")
        self.written += data

    def write_eof(self) -> None:
        self.done.append("write_eof")

    def can_write_eof(self) -> bool:
        return self.can_half_close

    def pause_reading(self) -> None:
        self.is_reading_now = False

    def resume_reading(self) -> None:
        self.is_reading_now = True

    def is_closing(self) -> bool:
        return "close" in self.done or "abort" in self.done

    def close(self) -> None:
        self.done.append("close")

    def abort(self) -> None:
        self.done.append("abort")

    def get_write_buffer_size(self) -> int:
        return self.unsent_bytes

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self if name == "socket" else default

    # --- as a socket ---------------------------------------------------------------------------

    def setsockopt(self, *_: object) -> None:
        self.done.append("reset")

    def fileno(self) -> int:
        return _NO_DESCRIPTOR
