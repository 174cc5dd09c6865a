"""Lists with weights."""

import pytest

from gateway.util.weighted import by_weight


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        pytest.param("", [""], id="nothing"),
        pytest.param("a", ["a"], id="one"),
        pytest.param("a;q=0.2, B ;Q=0.9,c", ["c", "b", "a"], id="by-weight"),
        pytest.param("a,b;q=0.5,c;q=0.5,d", ["a", "d", "b", "c"], id="of-equals-the-first"),
        pytest.param("a;q=0,b", ["b"], id="none-of-weight-0"),
        pytest.param("a;q=0.0001", ["a"], id="a-small-one"),
        pytest.param("a;level=1;q=0.3, b;q=0.4", ["b", "a"], id="behind-another-parameter"),
        pytest.param("a;q=x,b;q=nan,c;q=2,d;q=-1,e;q=", [], id="weights-that-are-none"),
        pytest.param("a;q=1;q=0", ["a"], id="the-first-weight"),
        pytest.param(",".join("abcdefghijklmnopq"), list("abcdefghijklmnop"), id="a-long-list"),
    ],
)
def test_the_preferred_goes_first(field: str, expected: list[str]) -> None:
    """RFC 9110 section 12.4.2."""
    assert expected == by_weight(field)
