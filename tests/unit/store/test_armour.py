"""Values that are not UTF-8, as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.store.armour import FIRST_BYTE, armour, bare, plain


@given(st.binary() | st.text().map(str.encode) | st.binary().map(b"data:;base64,".__add__))
def test_every_value_comes_back(value: bytes) -> None:
    """Also one that looks as if it were armoured."""
    assert value == bare(armour(value).encode())


@given(st.binary() | st.binary().map(b"data:;base64,".__add__))
def test_every_value_comes_back_where_bytes_can_travel(value: bytes) -> None:
    """Only one that looks as if it were armoured is changed on the way."""
    assert value == bare(plain(value))
    assert (value == plain(value)) != value.startswith(b"data:;base64,")


def test_all_armour_begins_with_one_byte() -> None:
    """By which a store looks at few values closely."""
    assert FIRST_BYTE == armour(b"\xff").encode()[0]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(b"", "", id="nothing"),
        pytest.param(b'{"a": 1}', '{"a": 1}', id="text-stays-readable"),
        pytest.param("Zoë".encode(), "Zoë", id="utf-8"),
        pytest.param(b"\xff\x00", "data:;base64,/wA=", id="bytes"),
        pytest.param(b"data:;base64,", "data:;base64,ZGF0YTo7YmFzZTY0LA==", id="the-mark"),
    ],
)
def test_the_form_of_values(value: bytes, text: str) -> None:
    """Programs of others may read what is text."""
    assert text == armour(value)


@pytest.mark.parametrize("value", [b"data:;base64,=", b"data:;base64,\xff", b"data:;base64,a b="])
def test_a_value_that_another_program_wrote_stays(value: bytes) -> None:
    """What follows the mark is no base64: it is not ours."""
    assert value == bare(value)
