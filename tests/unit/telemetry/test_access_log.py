"""The access log."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.core.record import RequestRecord
from gateway.core.request import RequestHead
from gateway.telemetry import access_log
from gateway.telemetry.access_line import json_lines, text_lines
from gateway.telemetry.access_log import AccessLog
from gateway.telemetry.counters import Counters
from gateway.telemetry.log_sample import SampledRequests, Sampler
from tests.fakes.heads import request_head


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Its two ends: for reading, for writing."""
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def _clock() -> float:
    return 1_700_000_000.1234


def _note(log: AccessLog, head: RequestHead | None = None, **known: Any) -> None:
    log.write_request(head, RequestRecord(**known), 200, 42, 0.0012345)


def test_a_line_holds_the_outcome_of_a_request(pipe: tuple[int, int]) -> None:
    """It is JSON."""
    log = AccessLog(pipe[1], _clock, Counters())
    _note(log, request_head(), client="192.0.2.1", path="/x", route="rest", issuer="did:ethr:0x1")
    log.flush()

    line = orjson.loads(os.read(pipe[0], 10_000))
    assert ("2023-11-14T22:13:20.123Z", 1.234, 200, 42) == (
        line["time"],
        line["ms"],
        line["status"],
        line["bytes"],
    )
    assert ("192.0.2.1", "/x", "rest") == (line["client"], line["path"], line["route"])


def test_a_reader_that_does_not_keep_up_stops_nothing(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines are kept up to a bound; then they are dropped, and counted."""
    monkeypatch.setattr(access_log, "_MAX_BUFFERED_BYTES", 100_000)
    log = AccessLog(pipe[1], _clock, Counters())
    for _ in range(2000):
        _note(log)

    assert log.dropped > 0
    assert 2000 * 200 > len(log._buffer) > 90_000


@pytest.mark.parametrize("most", [8 << 20, -1], ids=["with-room", "without-room"])
def test_the_last_refusals_are_kept_whether_or_not_they_are_logged(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """Operators look for them, above all, where the log has no room or takes a part alone."""
    monkeypatch.setattr(access_log, "_MAX_BUFFERED_BYTES", most)
    log = AccessLog(pipe[1], _clock, Counters())
    log.configure(json_lines(), Sampler([SampledRequests(0.0, statuses=frozenset({200}))]))
    _note(log, request_head(), path="/served")
    _note(log, request_head(), path="/refused", refusal="forbidden")
    assert ["/refused"] == [each["path"] for each in log.refusals.since("")]
    assert (2 if most < 0 else 0) == log.dropped
    assert not log._buffer, "neither is logged"


def test_many_lines_are_written_at_once(pipe: tuple[int, int]) -> None:
    """They do not wait for the timer; a few do."""
    os.set_blocking(pipe[0], False)
    log = AccessLog(pipe[1], _clock, Counters())
    _note(log, path="/first")
    with pytest.raises(BlockingIOError):
        os.read(pipe[0], 10_000)
    for _ in range(40):
        _note(log, path="/" + "x" * 1000)
    assert b"/first" in os.read(pipe[0], 10_000)


def test_a_reader_that_is_gone_stops_nothing() -> None:
    """Requests go on without a log."""
    read_end, write_end = os.pipe()
    log = AccessLog(write_end, _clock, Counters())
    os.close(read_end)
    _note(log)
    log.flush()
    os.close(write_end)


def test_a_full_disk_is_told_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """No line is lost of those that are kept; the log says when they are written again."""
    caplog.set_level("INFO", "gateway")
    descriptor = os.open("/dev/full", os.O_WRONLY)
    log = AccessLog(descriptor, _clock, Counters())
    full = f"the access log takes no lines: {os.strerror(errno.ENOSPC)}"
    for _ in range(2):
        _note(log)
        log.flush()
        assert [full] == caplog.messages
    with (tmp_path / "log").open("wb") as file:
        os.dup2(file.fileno(), descriptor)
    log.flush()
    os.close(descriptor)
    assert [full, "the access log takes lines again"] == caplog.messages
    assert 2 == len((tmp_path / "log").read_bytes().splitlines())


def test_the_config_says_how_lines_are_written(pipe: tuple[int, int]) -> None:
    """From the next request on."""
    log = AccessLog(pipe[1], _clock, Counters())
    _note(log, request_head(), path="/x")
    log.configure(json_lines({"path"}))
    _note(log, request_head(), path="/x")
    log.configure(text_lines(("path", "method", "version", "status")))
    _note(log, request_head(), path="/x")
    log.flush()

    whole, part, text = os.read(pipe[0], 10_000).splitlines()
    assert "/x" == orjson.loads(whole)["path"]
    assert (b'{"path":"/x"}', b'- - - [-] "GET /x HTTP/1.1" 200 - "-" "-"') == (part, text)


def test_a_part_of_the_requests_may_be_logged(pipe: tuple[int, int]) -> None:
    """The line says which part; all of them are counted."""
    counters, draws = Counters(), iter([0.3, 0.7, 0.2])
    log = AccessLog(pipe[1], _clock, counters)
    log.configure(json_lines(), Sampler([SampledRequests(0.5, "assets")], lambda: next(draws)))
    for number in range(3):
        _note(log, request_head(), route="assets", path=f"/{number}")
    _note(log, request_head(), route="assets", path="/r", refusal="forbidden")
    _note(log, request_head(), route="rest", path="/s")
    log.flush()

    lines = [orjson.loads(line) for line in os.read(pipe[0], 10_000).splitlines()]
    assert [("/0", 0.5), ("/2", 0.5), ("/r", None), ("/s", None)] == [
        (line["path"], line.get("sample")) for line in lines
    ]
    assert 5 == sum(counters.durations)


def test_how_long_a_tunnel_is_open_says_nothing_of_requests(pipe: tuple[int, int]) -> None:
    """Only the time to its beginning is counted among the durations."""
    counters = Counters()
    log = AccessLog(pipe[1], _clock, counters)
    record = RequestRecord(tunnel="closed", tunnel_s=7200.0)
    log.write_request(request_head(), record, 101, 42, 7200.25)
    assert 0.25 == pytest.approx(counters.total_s)
