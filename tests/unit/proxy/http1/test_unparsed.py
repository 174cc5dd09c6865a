"""Fields of heads that were refused."""

import pytest

from gateway.proxy.http1.unparsed import fields_of


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        pytest.param(b"", [], id="nothing"),
        pytest.param(b"Accept: a", [], id="the-request-line-is-no-field"),
        pytest.param(
            b"GET / HTTP/1.1\r\nHost : a\r\nACCEPT:\ttext/html \r\nCookie: session=x\r\n\r\n",
            [("ACCEPT", "text/html")],
            id="a-malformed-head",
        ),
        pytest.param(
            b"GET / HTTP/1.1\r\nAccept : a\r\n Accept: b\r\nAccept\r\nSec-Fetch-Mode: nav",
            [("Accept", ""), ("Sec-Fetch-Mode", "nav")],
            id="the-beginning-of-one",
        ),
        pytest.param(
            b"\r\na: b" * 62 + b"\r\nAccept: a\r\nAccept: b", [("Accept", "a")], id="many"
        ),
        pytest.param(b"\xff\r\nAccept: \xff\r\n\xff: x", [("Accept", "\xff")], id="no-text"),
    ],
)
def test_what_is_read(octets: bytes, expected: list[tuple[str, str]]) -> None:
    """No credential but the kind of one, and nothing raises."""
    assert expected == list(fields_of(octets).items())
