"""Tolerant access to configs of any shape."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import checks
from gateway.config.draft import Draft, with_defaults

DRAFT = Draft({"a": {"b": ["x", 1, True]}})


def test_reading() -> None:
    """A missing value, or one of another type, is None or empty and raises nothing."""
    assert DRAFT.at("a", "b", 0) == "x"
    assert DRAFT.at("a", "b", 3) is None
    assert DRAFT.at("a", "b", "c") is None
    assert DRAFT.at("a", "z", "c") is None
    assert DRAFT.text("a", "b", 1) == "1"  # as the schema takes it
    assert DRAFT.text("a", "b", 2) == ""
    assert DRAFT.text("a", "b") == ""
    assert DRAFT.mapping("a") == {"b": ["x", 1, True]}
    assert DRAFT.mapping("a", "b") == {}
    assert DRAFT.items("a") == []
    assert DRAFT.parsed(int, "a", "b", 0) is None


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(None, {"s": {"k": 1}}, id="an-empty-file"),
        pytest.param({"s": None}, {"s": {"k": 1}}, id="an-empty-section"),
        pytest.param({"s": {"j": 2}}, {"s": {"j": 2, "k": 1}}, id="beside-another-key"),
        pytest.param({"s": {"k": 2}}, {"s": {"k": 2}}, id="already-there"),
        pytest.param({"s": []}, {"s": []}, id="not-a-section"),
        pytest.param([], [], id="not-a-config"),
    ],
)
def test_put_default(data: object, expected: object) -> None:
    """A default is added where its section can be, and overwrites nothing."""
    assert expected == Draft(data).put_default("s", "k", 1).data


KEYS = st.sampled_from(
    [
        "server",
        "listen",
        "magic",
        "mode",
        "identity",
        "headers",
        "routes",
        "limits",
        "match",
        "path",
    ]
)
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.sampled_from(["development", "/*"]))
DATA = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner))


@given(DATA)
def test_checks_stand_any_shape(data: object) -> None:
    """The checks raise nothing on data of any shape."""
    list(checks.problems(with_defaults(Draft(data))))
