"""Lines of the access log are written soon, and all of them in the end."""

import asyncio
import os
from collections.abc import Iterator

import pytest

from gateway.config.log import AccessLogSettings
from gateway.core.record import RequestRecord
from gateway.runtime.services.access_log import access_log, configure
from gateway.telemetry.access_log import AccessLog
from gateway.telemetry.counters import Counters
from tests.fakes.heads import request_head


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    yield reader, writer
    os.close(reader)
    os.close(writer)


def _log_one(log: AccessLog) -> None:
    log.write_request(request_head(), RequestRecord(), 200, 0, 0.1)


async def test_a_line_is_written_while_requests_pause(pipe: tuple[int, int]) -> None:
    """A timer flushes what no other line pushes out."""
    reader, writer = pipe
    async with access_log(writer, Counters()) as log:
        _log_one(log)
        with pytest.raises(BlockingIOError):
            os.read(reader, 1)
        async with asyncio.timeout(20):
            while not (data := _read(reader)):
                await asyncio.sleep(0.01)
    assert data.endswith(b"}\n")


async def test_the_last_lines_are_not_lost(pipe: tuple[int, int]) -> None:
    """They are written when the gateway ends."""
    reader, writer = pipe
    async with access_log(writer, Counters()) as log:
        _log_one(log)
    assert 1 == os.read(reader, 4096).count(b"\n")


async def test_the_config_decides_what_is_written(pipe: tuple[int, int]) -> None:
    """Format, fields and samples are those of the section."""
    reader, writer = pipe
    none = {"route": "assets", "keep": "0%"}
    async with access_log(writer, Counters()) as log:
        for form in ("json", "text"):
            written = {"format": form, "fields": ["status", "route"], "sample": [none]}
            configure(log, AccessLogSettings.model_validate(written))
            for route in ("assets", "rest"):
                log.write_request(request_head(), RequestRecord(route=route), 200, 0, 0.1)
    assert [
        b'{"route":"rest","status":200}',
        b'- - - [-] "- - HTTP/-" 200 - "-" "-" route=rest',
    ] == os.read(reader, 4096).splitlines()


def _read(reader: int) -> bytes:
    try:
        return os.read(reader, 4096)
    except BlockingIOError:
        return b""
