"""The writer of the gateway's own log."""

import logging
import os
import select
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from gateway.telemetry import log_writer
from gateway.telemetry.log_writer import LogWriter
from tests.fakes.timing import wait_until

LINE = "x" * 99


class Pipe:
    """A pipe, and a log that is written to it."""

    def __init__(self, max_buffered_bytes: int = 10_000) -> None:
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)
        self.log = LogWriter(self.writer, max_buffered_bytes)
        self.log.setFormatter(logging.Formatter("%(message)s"))
        self.is_blocking = True
        self._read = b""

    def say(self, text: str, *args: object) -> None:
        """Log a message."""
        self.log.handle(logging.LogRecord("gateway", logging.INFO, "f", 1, text, args, None))

    def fill(self) -> int:
        """Fill the pipe, and log until a line is dropped; returns how many were logged before."""
        os.set_blocking(self.writer, False)
        with suppress(BlockingIOError):
            while True:
                os.write(self.writer, b"." * select.PIPE_BUF)
        os.set_blocking(self.writer, self.is_blocking)
        count = 0
        while not self.log.dropped:
            self.say(LINE)
            count += 1
        return count - 1

    def lines(self, count: int) -> list[str]:
        """Wait for as many lines, and return what has been read so far."""

        def are_there() -> bool:
            if select.select([self.reader], [], [], 0)[0]:
                self._read += os.read(self.reader, 1 << 16)
            return self._read.count(b"\n") >= count

        wait_until(are_there, within_s=20)
        return self._read.lstrip(b".").decode().splitlines()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """A log whose reader is this test."""
    made = Pipe()
    yield made
    os.close(made.reader)
    made.log.close()


def test_lines_are_written_in_order(pipe: Pipe) -> None:
    """Each is there when the log is flushed."""
    for number in range(50):
        pipe.say("line %d", number)
    pipe.log.flush()

    assert [f"line {number}" for number in range(50)] == pipe.lines(50)
    assert 0 == pipe.log.dropped


def test_a_reader_that_stops_holds_nothing_up(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines are buffered, then dropped and counted; the flush at the end has a deadline."""
    monkeypatch.setattr(log_writer, "FLUSH_S", 0.05)
    began_s = time.monotonic()
    kept = pipe.fill()
    for _ in range(99):
        pipe.say(LINE)
    pipe.log.flush()

    assert 100 == pipe.log.dropped
    assert time.monotonic() - began_s < 20
    read = pipe.lines(kept + 1)
    assert [LINE] * kept == read[:kept]
    assert ["100 lines of the log were dropped: its reader was too slow"] == read[kept:]


def test_the_log_goes_on_when_it_is_read_again(pipe: Pipe) -> None:
    """Memory is free again for new lines."""
    kept = pipe.fill()
    pipe.lines(kept + 1)

    pipe.say("after")

    assert "after" == pipe.lines(kept + 2)[-1]


def test_a_reader_that_is_gone_ends_nothing() -> None:
    """What it does not get is counted."""
    pipe = Pipe()
    os.close(pipe.reader)

    pipe.say("unheard")
    pipe.log.close()

    assert 1 == pipe.log.dropped


def test_a_pipe_that_does_not_block_is_waited_for(pipe: Pipe) -> None:
    """Another program may have set it so."""
    pipe.is_blocking = False
    kept = pipe.fill()

    assert [LINE] * kept == pipe.lines(kept + 1)[:kept]


def test_a_long_line_is_written_whole(pipe: Pipe) -> None:
    """A traceback may be longer than a pipe takes at once."""
    text = "y" * (3 * select.PIPE_BUF // 2)

    pipe.say(text)

    assert [text] == pipe.lines(1)


def test_a_message_that_cannot_be_formatted_is_named(pipe: Pipe) -> None:
    """The mistake is in the log, and nowhere else."""
    pipe.say("%d", "no number")

    assert ["a line of the log could not be formatted"] == pipe.lines(1)


def test_a_character_that_cannot_be_encoded_is_escaped(pipe: Pipe) -> None:
    """A client may have sent it."""
    pipe.say("a \ud800")

    assert ["a \\ud800"] == pipe.lines(1)
