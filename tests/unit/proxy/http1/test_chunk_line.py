"""Chunk extensions: which are cut off, and which make a body malformed."""

import pytest

from gateway.proxy.http1.chunk_line import without_extensions

MALFORMED = b";\r\n"


@pytest.mark.parametrize(
    "extensions",
    [
        *(b";a", b";a=b", b"; a=b", b" ;a=b", b";a =b", b";a= b", b" ; a = b", b"\t;\ta\t=\tb"),
        *(b";a;b", b";a=b; c", b'; a="b c"', b';a="\\"" ;b', b';a=""', b';a="\xff;\t=\\\xff"'),
        *(b";a='b'", b";a" + b" " * 9000 + b"=b", b";a=b" * 3000),
    ],
)
@pytest.mark.parametrize("size", [b"5", b"0", b"00fF"])
def test_extensions_are_cut_off(size: bytes, extensions: bytes) -> None:
    """White space where the grammar allows it included (RFC 9112 section 7.1.1)."""
    assert size + b"\r\n" == without_extensions(size + extensions + b"\r\n")


@pytest.mark.parametrize(
    "line",
    [
        *(
            b"5;\r\n",
            b"5\r;a\n",
            b"5;a\r;b\n",
            b"5;;a\r\n",
            b"5; ;a\r\n",
            b"5;a=\r\n",
            b"5;a= \r\n",
            b"5;=b\r\n",
            b"5;a b\r\n",
        ),
        *(b"5;a b\r\n", b"5;a=b c\r\n", b"5;a=b \r\n", b"5;a \r\n", b"5;a=b=c\r\n"),
        *(
            b" 5;a\r\n",
            b"5 5;a\r\n",
            b"-5;a\r\n",
            b"0x5;a\r\n",
            b"5;a\n",
            b"5;a\r\r\n",
            b"5;a\x0b\r\n",
        ),
        *(
            b"5;a\r\r\n",
            b"5;a\x0b\r\n",
            b"5;a\rb\r\n",
            b"5;a\x00\r\n",
            b"5;a=\xff\r\n",
            b"5;\xff\r\n",
            b"5\x0b;a\r\n",
        ),
        *(b'5;a="b\r\n', b'5;a="b"c\r\n', b'5;a="\r"\r\n', b'5;a="\x01"\r\n', b'5;a="\\\x01"\r\n'),
        *(b'5;a="\\"\r\n', b"5;a" + b" " * 9000 + b"b\r\n", b"5" + b" " * 9000 + b"a;\r\n"),
        *(b"5" + b";a=b" * 3000 + b"\x01\r\n", b"5" + b" ; a" * 3000 + b'="\r\n'),
    ],
)
def test_what_breaks_the_grammar_is_refused_by_the_parser(line: bytes) -> None:
    """It gets a line without a size."""
    assert MALFORMED == without_extensions(line)
