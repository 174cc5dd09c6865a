"""
The line table in C: what it hands over can be used as what the table in Python does.

That it reads all heads as the parser does is compared in ``test_line_table.py``.
"""

import gc
import sys
from random import Random

import pytest
from multidict import CIMultiDict, istr

from gateway.core.request import ValueWithMemo
from gateway.proxy.http1 import kernel_table as module
from gateway.proxy.http1.kernel_table import KernelTable, line_table
from gateway.proxy.http1.line_table import LineTable
from gateway.proxy.http1.parser import KNOWN_NAMES
from tests.fakes.kernel import NEEDS_KERNEL, kernel_table
from tests.fakes.random_heads import random_request

BLOCK = b"Host: a\r\nx-id: 7\r\nCookie: session=x; b=2\r\nAccept: */*\r\n\r\n"


@pytest.fixture
def table() -> KernelTable:
    """A table that has seen no head."""
    return kernel_table(KNOWN_NAMES)


def test_the_kernel_is_used_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """And Python where there is none."""
    monkeypatch.setattr(module, "KERNEL", None)
    assert type(line_table(KNOWN_NAMES)) is LineTable


@NEEDS_KERNEL
def test_fields_are_found_by_their_names(table: KernelTable) -> None:
    """In any case, by text of any kind; others are absent, as in a multidict."""
    fields = table.read(BLOCK, 10)
    assert fields is not None
    headers = fields[0]
    for name in ("X-Id", "x-id", istr("X-ID")):
        assert ("7", "7", ["7"]) == (headers[name], headers.get(name), headers.getall(name))
        assert name in headers
    assert (None, 1, 2) == (headers.get("X-No"), headers.get("X-No", 1), headers.getall("No", 2))
    assert "X-No" not in headers
    for look_up in (headers.__getitem__, headers.getall):
        with pytest.raises(KeyError):
            look_up("X-No")


@NEEDS_KERNEL
def test_all_else_is_that_of_the_multidict(table: KernelTable) -> None:
    """Also a copy, the number of the fields, and a comparison."""
    ours, theirs = table.read(BLOCK, 10), LineTable(KNOWN_NAMES).read(BLOCK, 10)
    assert ours is not None
    assert theirs is not None
    assert ours[0] == theirs[0]
    assert list(ours[0].items()) == list(theirs[0].items())
    assert [*ours[0]] == [*ours[0].keys()] == [*theirs[0]]
    assert len(ours[0]) == 4
    assert CIMultiDict(ours[0]) == CIMultiDict(theirs[0])
    assert (ours[1].names, [*ours[1].lines]) == (theirs[1].names, theirs[1].lines)
    with pytest.raises(IndexError):
        ours[1].lines[4]


@NEEDS_KERNEL
def test_a_cookie_line_has_a_memo_and_is_forgotten(table: KernelTable) -> None:
    """In the time in which the table in Python forgets it; no other line is kept at all."""
    first, again = (table.read(BLOCK, 10) for _ in range(2))
    assert first is not None
    assert again is not None
    value = first[0]["Cookie"]
    assert type(value) is ValueWithMemo
    assert value is again[0]["Cookie"]
    assert len(table) == 1
    table.check_deadline(0.0)
    table.check_deadline(30.0)
    assert len(table) == 0


@NEEDS_KERNEL
def test_names_are_forgotten_when_they_are_many(table: KernelTable) -> None:
    """Heads that were read before keep theirs."""
    kept = table.read(BLOCK, 10)
    assert kept is not None
    read = [table.read(b"Host: a\r\nX-%d: 1\r\n\r\n" % i, 10) for i in range(5000)]
    assert [f"X-{i}" for i in range(5000)] == [fields and fields[1].names[1] for fields in read]
    assert ("7", "session=x; b=2") == (kept[0]["X-Id"], kept[0]["Cookie"])
    many = b"".join(b"X-New-%d: 1\r\n" % i for i in range(30))
    assert table.read(b"Host: a\r\n" + many + b"\r\n", 50) is None


@NEEDS_KERNEL
def test_no_name_is_interned(table: KernelTable) -> None:
    """Python 3.12 never frees a name that is: clients could fill the memory with new ones."""
    fields = table.read(b"Host: a\r\nX-Sent-Once: 1\r\nx-sent-TWICE: 1\r\n\r\n", 10)
    assert fields is not None
    assert "X-Asked-Once" not in fields[0]
    assert "1" == fields[0]["X-SENT-twice"]
    for name in (b"x-sent-once", b"x-sent-twice", b"x-asked-once"):
        text = name.decode()
        assert sys.intern(text) is text  # else an equal text was interned before


@NEEDS_KERNEL
def test_a_head_of_more_fields_than_are_allowed_is_for_the_parser(table: KernelTable) -> None:
    """It refuses it."""
    assert table.read(BLOCK, 3) is None
    assert table.read(BLOCK, 4) is not None
    assert table.read(b"".join(b"X-%d: 1\r\n" % i for i in range(200)) + b"\r\n", 500) is None


@NEEDS_KERNEL
def test_nothing_is_lost_of_what_is_read(table: KernelTable) -> None:
    """Whatever is sent, no object stays; the same heads are read again and again."""
    random = Random(1)
    blocks = [random_request(random).partition(b"\r\n")[2] for _ in range(500)]
    for _ in range(3):
        for block in blocks:
            table.read(block, 20)
    gc.collect()
    before = len(gc.get_objects())
    for block in blocks:
        if (fields := table.read(block, 20)) is not None:
            assert len(fields[0]) == len(fields[1].lines)
    fields = None
    gc.collect()
    assert len(gc.get_objects()) <= before + 5
