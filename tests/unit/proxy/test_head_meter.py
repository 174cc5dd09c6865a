"""What of a client's bytes is head, and when it is too much."""

import pytest

from gateway.proxy.head_meter import HeadMeter


class SomeBody:
    """As much of a body as the meter looks at."""

    def __init__(self, total_bytes: int, is_complete: bool) -> None:
        self.total_bytes = total_bytes
        self._is_complete = is_complete

    def is_eof(self) -> bool:
        return self._is_complete


@pytest.mark.parametrize(
    ("reads", "expected"),
    [
        pytest.param([100], False, id="a-short-read"),
        pytest.param([101], True, id="a-long-read"),
        pytest.param([0], True, id="what-the-parser-held-back"),
        pytest.param([101, 10], True, id="after-a-long-read-that-may-have-held-its-beginning"),
        pytest.param([101, 10, 10], False, id="but-not-for-ever"),
    ],
)
def test_a_head_is_measured_where_it_may_be_too_long(reads: list[int], expected: bool) -> None:
    """Most heads come in one short read and need no counting."""
    meter = HeadMeter(100)
    assert expected == [meter.complete(read, 0) for read in reads][-1]


def test_a_head_in_parts_is_added_up() -> None:
    """It is too much as soon as its parts are, complete or not."""
    meter = HeadMeter(100)
    assert [False, False, True] == [meter.exceeds(50) for _ in range(3)]
    assert meter.complete(1, 0)
    assert 0 == meter.pending_bytes


def test_bytes_of_a_body_are_no_head() -> None:
    """However many reads it takes, also the one that ends it."""
    meter = HeadMeter(100)
    meter.complete(50, body_bytes=10)
    assert meter.body_went_on(SomeBody(500, False))
    assert meter.body_went_on(SomeBody(500, True))
    assert 0 == meter.pending_bytes


def test_trailers_and_chunk_extensions_are_counted() -> None:
    """Reads in which the body does not go on are as good as head."""
    meter = HeadMeter(100)
    meter.complete(50, body_bytes=10)
    assert not meter.body_went_on(SomeBody(10, False))
    assert not meter.exceeds(100)
    assert not meter.body_went_on(SomeBody(10, False))
    assert meter.exceeds(1)
    assert meter.body_went_on(SomeBody(11, False))
    assert 0 == meter.pending_bytes
