"""Colours and their contrast."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.colours import colour, contrast, text_on

COLOURS = st.integers(0, 0xFFFFFF).map(lambda number: f"#{number:06x}")


def test_a_colour_is_six_digits() -> None:
    """A colour is put into a style sheet, so nothing but digits is accepted (CSS injection)."""
    assert "#1d4ed8" == colour("#1D4ED8")


@pytest.mark.parametrize(
    "written", ["", "red", "#fff", "1d4ed8", "#1d4ed8;}", "#1d4ed8\n", "#1d4edg"]
)
def test_other_text_is_no_colour(written: str) -> None:
    """Names, short forms and style sheets are refused."""
    with pytest.raises(ValueError, match="expected a colour"):
        colour(written)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        pytest.param("#000000", "#ffffff", 21.0, id="black-on-white"),
        pytest.param("#ffffff", "#ffffff", 1.0, id="white-on-white"),
        pytest.param("#767676", "#ffffff", 4.54, id="the-lightest-grey-of-level-aa"),
        pytest.param("#ff0000", "#ffffff", 4.0, id="red-on-white"),
    ],
)
def test_contrast(one: str, other: str, expected: float) -> None:
    """The ratio is that of published tables, in either order of the colours."""
    assert expected == pytest.approx(contrast(one, other), abs=0.01)
    assert contrast(one, other) == contrast(other, one)


@given(COLOURS)
def test_text_on_any_colour_can_be_read(background: str) -> None:
    """Black or white has the contrast of level AA (4.5) on every colour."""
    assert contrast(text_on(background), background) >= 4.5
