"""Valid heads that the parser refuses, in a form that it accepts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.proxy.http1.normalise import may_be_normalised, normalise

FIELDS = b"Host: a\r\n\r\n"


@pytest.mark.parametrize("method", ["FOO", "F", "GETX", "get", "DESCRIBE", "A-_.!1", "A" * 64])
@pytest.mark.parametrize("before", [b"", b"\r\n"], ids=["first", "behind-an-empty-line"])
def test_an_unknown_method_gets_a_stand_in(method: str, before: bytes) -> None:
    """The parser reads another one, and the request keeps its own."""
    rest = b" /x HTTP/1.1\r\n" + FIELDS
    raw = before + method.encode() + rest
    assert (before + b"POST" + rest, raw, method) == normalise(raw)


@pytest.mark.parametrize(
    ("value", "becomes"),
    [(b" chunked\t", b" chunked"), (b"\tCHUNKED \t ", b"\tCHUNKED"), (b"chunked ", b"chunked")],
)
def test_white_space_behind_a_coding_is_cut_off(value: bytes, becomes: bytes) -> None:
    """It is no part of the value; the method stays."""
    line = b"PUT /x HTTP/1.1\r\ntransfer-Encoding:%b\r\n" + FIELDS
    assert (line % becomes, line % becomes, "PUT") == normalise(line % value)


def test_both_in_one_head() -> None:
    """An unknown method with a padded coding."""
    head = b"%b /x HTTP/1.1\r\nTransfer-Encoding: chunked%b\r\n" + FIELDS
    expected = head % (b"POST", b""), head % (b"FOO", b""), "FOO"
    assert expected == normalise(head % (b"FOO", b"\t"))


@pytest.mark.parametrize(
    "head",
    [
        b"GET /x HTTP/1.1\r\nHo st: a\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"A" * 65 + b" /x HTTP/1.1\r\n" + FIELDS,
        b" FOO /x HTTP/1.1\r\n" + FIELDS,
        b"FOO\t/x HTTP/1.1\r\n" + FIELDS,
        b"\nFOO /x HTTP/1.1\r\n" + FIELDS,
        b"\r\n\r\nFOO /x HTTP/1.1\r\n" + FIELDS,
        b"GET /x HTTP/1.1\r\nTransfer-Encoding: gzip\t\r\n" + FIELDS,
        b"GET /x HTTP/1.1\r\n Transfer-Encoding: chunked\t\r\n" + FIELDS,
        b"GET /x HTTP/1.1\r\nX: \rTransfer-Encoding: chunked\t\r\n" + FIELDS,
        b"GET /x HTTP/1.1\r\nTransfer-Encoding : chunked\t\r\n" + FIELDS,
        b"GET /x HTTP/1.1\r\nTransfer-Encoding: chunked\t\n" + FIELDS,
        b"",
    ],
)
def test_other_heads_have_no_other_form(head: bytes) -> None:
    """What was refused stays refused."""
    assert normalise(head) is None


@given(
    st.lists(
        st.sampled_from(
            [
                *(b"FOO", b"GET", b" ", b"\t", b"\r\n", b"\n", b"\r", b"chunked", b",", b"\x0b"),
                *(b"/x", b"HTTP/1.1", b"Host: a", b"\x00", b"Transfer-Encoding:", b"TE: x"),
            ]
        ),
        max_size=12,
    )
)
def test_nothing_but_the_method_and_white_space_behind_chunked_changes(parts: list[bytes]) -> None:
    """So a head that is malformed in any other way is still malformed for the parser."""
    head = b"".join(parts)
    normalised = normalise(head)
    if normalised is None:
        return
    parsable, raw, method = normalised
    before, after = raw.split(method.encode(), 1)
    assert parsable in (raw, before + b"POST" + after)
    assert head.replace(b"\t", b"").replace(b" ", b"") == raw.replace(b"\t", b"").replace(b" ", b"")
    assert head.count(b"\r\n") == raw.count(b"\r\n")


@pytest.mark.parametrize(
    ("begun", "expected"),
    [
        (b"F", True),
        (b"FOO", True),
        (b"\r\nFOO /x", True),
        (b"FOO /x HTTP/1.1\r\nHo st:", True),
        (b"PRI ", False),
        (b"\x16\x03\x01", False),
        (b"FOO\t", False),
        (b"A" * 65, False),
        (b"GET /x HTTP/1.1\r\nHo st", False),
    ],
)
def test_a_head_is_awaited_only_if_its_method_is_at_fault(begun: bytes, expected: bool) -> None:
    """Bytes that begin no request are answered at once."""
    assert expected == may_be_normalised(begun)
