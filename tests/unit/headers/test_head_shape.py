"""What the names of a head say of its lines, and the lines for the app, in C and in Python."""

import pytest

from gateway.headers.fields import FieldAction
from gateway.headers.head_shape import HeadShape, Part, part_of
from gateway.proxy.http1.line_table import LineTable
from gateway.proxy.http1.parser import KNOWN_NAMES
from tests.fakes.kernel import NEEDS_KERNEL, kernel_table

LINES = [b"Host: a", b"X-A: 1", b"Cookie: a=1", b"X-B: 2", b"X-C: 3"]
TABLES = [LineTable, pytest.param(kernel_table, marks=NEEDS_KERNEL)]
PARTS: list[tuple[list[Part], bytes, list[bytes]]] = [
    ([False, True, "cookie", True, True], b"", [LINES[1], LINES[3], LINES[4]]),
    ([False, True, "cookie", True, True], b"Cookie: b", [LINES[1], b"Cookie: b", *LINES[3:]]),
    ([False, False, "cookie", False, False], b"Cookie: b", [b"Cookie: b"]),
    ([False, False, "cookie", False, False], b"", []),
    ([False, False, "cookie", False, True], b"", [LINES[4]]),
    ([True, True, "cookie", False, False], b"Cookie: b", [*LINES[:2], b"Cookie: b"]),
]


@pytest.mark.parametrize("make", TABLES)
@pytest.mark.parametrize(("parts", "cookie", "expected"), PARTS)
def test_lines_for_the_app_are_joined_in_order(
    make: type[LineTable], parts: list[Part], cookie: bytes, expected: list[bytes]
) -> None:
    """Those that are kept, and what is left of Cookie in its place."""
    fields = make(KNOWN_NAMES).read(b"\r\n".join([*LINES, b"", b""]), 10)
    assert fields is not None
    joined = HeadShape(parts).join(fields[1].lines, cookie)
    assert b"".join(line + b"\r\n" for line in expected) == joined


def test_fields_that_depend_on_their_value_are_known_by_their_place() -> None:
    """One that is repeated makes a head unusual."""
    shape = HeadShape([True, "connection", "authorization", True, "cookie"])
    places = (shape.connection, shape.authorization, shape.cookie, shape.cookie_goes)
    assert (1, 2, 4, 2) == places
    assert not shape.is_unusual
    assert HeadShape(["cookie", "cookie"]).is_unusual


@pytest.mark.parametrize(
    ("name", "action", "expected"),
    [
        ("cookie", FieldAction.COOKIE, "cookie"),
        ("Authorization", FieldAction.AUTHORIZATION, "authorization"),
        ("CONNECTION", FieldAction.DROP, "connection"),
        ("Accept", FieldAction.KEEP, True),
        ("Host", FieldAction.HOST, False),
    ],
)
def test_what_is_done_with_a_line_follows_from_its_name(
    name: str, action: FieldAction, expected: Part
) -> None:
    """By the action for its name."""
    assert expected == part_of(name, action)
