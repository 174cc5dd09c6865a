"""Which fields end at this hop."""

import pytest

from gateway.headers.hop_by_hop import nominated_fields
from tests.fakes.heads import multidict


@pytest.mark.parametrize(
    ("connection", "expected"),
    [
        pytest.param([], set(), id="nothing-said"),
        pytest.param(["close"], set(), id="one-usual-option"),
        pytest.param(["Keep-Alive"], set(), id="the-other-usual-option"),
        pytest.param(["close, X-A"], {b"close", b"x-a"}, id="a-list"),
        pytest.param(["close", "X-A"], {b"close", b"x-a"}, id="two-fields"),
    ],
)
def test_nominated_fields(connection: list[str], expected: set[bytes]) -> None:
    """All options of all Connection lines count, in lower case; the usual ones name no field."""
    assert expected == nominated_fields(multidict(*(("Connection", c) for c in connection)))


@pytest.mark.parametrize("junk", ["é, \udcff", "", ",", " , ,"])
def test_options_that_are_no_names(junk: str) -> None:
    """They nominate nothing that a field could be called, and raise nothing."""
    nominated = nominated_fields(multidict(("Connection", junk), ("Connection", "X-A")))
    assert b"x-a" in nominated
    assert nominated <= {b"x-a", b"", "é".encode(), b"\xff"}
