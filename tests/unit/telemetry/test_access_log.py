"""The access log."""

import os
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from gateway.core.record import RequestRecord
from gateway.core.request import RequestHead
from gateway.telemetry import access_log
from gateway.telemetry.access_log import AccessLog
from gateway.telemetry.counters import Counters
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
    """It is JSON, with times to the millisecond and the microsecond."""
    log = AccessLog(pipe[1], _clock, Counters())
    _note(log, request_head(), client="192.0.2.1", path="/x", route="rest", issuer="did:ethr:0x1")
    log.flush()

    line = orjson.loads(os.read(pipe[0], 10_000))
    assert (1_700_000_000.123, 1.234, 200, 42) == (
        line["time"],
        line["ms"],
        line["status"],
        line["bytes"],
    )
    assert ("192.0.2.1", "/x", "rest") == (line["client"], line["path"], line["route"])


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        pytest.param("/a/../b?token=1", "/a/../b", id="query"),
        pytest.param("/a#token=1", "/a", id="fragment"),
        pytest.param("http://u:p@x/a", "", id="userinfo"),
        pytest.param("/" + "x" * 300, "/" + "x" * 199, id="length"),
    ],
)
def test_a_refused_target_is_cut(pipe: tuple[int, int], target: str, expected: str) -> None:
    """Where secrets may stand in it, it is not written down."""
    log = AccessLog(pipe[1], _clock, Counters())
    _note(log, request_head(target=target))
    log.flush()

    assert expected == orjson.loads(os.read(pipe[0], 10_000))["path"]


def test_bytes_that_were_no_request_have_a_line_too(pipe: tuple[int, int]) -> None:
    """Under the id that the client was told."""
    log = AccessLog(pipe[1], _clock, Counters())
    _note(log, None, request_id="abc", refusal="bad_request")
    log.flush()

    line = orjson.loads(os.read(pipe[0], 10_000))
    assert ("abc", "", "bad_request") == (line["id"], line["path"], line["refusal"])


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


def test_a_reader_that_is_gone_stops_nothing() -> None:
    """Requests go on without a log."""
    read_end, write_end = os.pipe()
    log = AccessLog(write_end, _clock, Counters())
    os.close(read_end)
    _note(log)
    log.flush()
    os.close(write_end)


def test_the_line_of_a_tunnel_says_more(pipe: tuple[int, int]) -> None:
    """Why it ended, and how many bytes went in each direction; other lines have no such fields."""
    log = AccessLog(pipe[1], _clock, Counters())
    _note(log, request_head(), tunnel="idle", tunnel_bytes_in=7)
    _note(log, request_head())
    log.flush()

    tunnel, other = map(orjson.loads, os.read(pipe[0], 10_000).splitlines())
    assert ("idle", 7, 42) == (tunnel["tunnel"], tunnel["bytes_in"], tunnel["bytes"])
    assert not {"tunnel", "bytes_in"} & set(other)


def test_how_long_a_tunnel_is_open_says_nothing_of_requests(pipe: tuple[int, int]) -> None:
    """Only the time to its beginning is counted among the durations."""
    counters = Counters()
    log = AccessLog(pipe[1], _clock, counters)
    record = RequestRecord(tunnel="closed", tunnel_s=7200.0)
    log.write_request(request_head(), record, 101, 42, 7200.25)
    assert 0.25 == pytest.approx(counters.total_s)
