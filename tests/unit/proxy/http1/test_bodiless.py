"""Which answers end with their head, and where that is."""

import pytest

from gateway.proxy.http1.bodiless import HeadEnds, announces_body, may_lack_body


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\n", False, id="200"),
        pytest.param(b"HTTP/1.1 404 Not Found", False, id="404"),
        pytest.param(b"HTTP/1.1 204 No Content", True, id="204"),
        pytest.param(b"HTTP/1.1 304 Not Modified", True, id="304"),
        pytest.param(b"HTTP/1.1 103 Early Hints", True, id="interim"),
        pytest.param(b"HTTP/1.1 20", True, id="not-complete"),
        pytest.param(b"", True, id="nothing"),
    ],
)
def test_the_status_says_whether_there_may_be_no_body(start: bytes, expected: bool) -> None:
    """An interim answer may precede one without a body."""
    assert expected is may_lack_body(start)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param({}, False, id="nothing"),
        pytest.param({"Content-Length": "0"}, False, id="length-0"),
        pytest.param({"Content-Length": "5"}, True, id="length"),
        pytest.param({"Transfer-Encoding": "chunked"}, True, id="chunks"),
    ],
)
def test_a_head_announces_a_body_by_its_framing(headers: dict[str, str], expected: bool) -> None:
    """By a length above 0, or a transfer coding."""
    assert expected is announces_body(headers)


def test_the_end_of_a_head_is_found_wherever_the_data_is_cut() -> None:
    """The parts before and after the cut give the same ends as the whole."""
    data = b"HTTP/1.1 103 A\r\nB: c\r\n\r\nHTTP/1.1 204 D\r\n\r\nrest"
    first, second = data.index(b"HTTP/1.1 204"), data.index(b"rest")
    for cut in range(1, second):
        ends, base = HeadEnds(), 0
        found: list[int] = []
        for part in (data[:cut], data[cut:]):
            at = 0
            while at < len(part) and len(found) < 2:
                at = ends.find(part, at)
                if at < len(part) or part.endswith(b"\r\n\r\n"):
                    found.append(base + at)
            base += len(part)
        assert [first, second] == found
