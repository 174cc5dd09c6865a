"""Every refusal has one answer, and nothing else can be raised in its place."""

import re

import pytest

from gateway.core.errors import (
    PROBLEM_TYPES,
    ConfigError,
    RateLimited,
    Refusal,
    StoreUnavailable,
    Unavailable,
)
from gateway.core.limit import Limit, LimitState

ABSTRACT: set[type[Refusal]] = {Refusal, Unavailable}
STATE = LimitState(Limit("default", 300, 60), False, 0, reset_s=12.5, retry_after_s=3.2)


def subclasses(kind: type[Refusal]) -> set[type[Refusal]]:
    """``kind`` and all that come of it."""
    return {kind}.union(*(subclasses(child) for child in kind.__subclasses__()))


def raised(kind: type[Refusal]) -> Refusal:
    """One refusal of ``kind``."""
    return RateLimited(STATE) if kind is RateLimited else kind("because")


def test_every_refusal_has_an_answer() -> None:
    """No refusal can reach a client as a bare 500."""
    assert subclasses(Refusal) - ABSTRACT == set(PROBLEM_TYPES)


@pytest.mark.parametrize("kind", sorted(ABSTRACT, key=str))
def test_what_is_abstract_refuses_to_be_raised(kind: type[Refusal]) -> None:
    """Only a kind that has an answer can be made at all."""
    with pytest.raises(TypeError, match=f"{kind.__name__} is no kind of refusal"):
        kind("because")


@pytest.mark.parametrize("kind", list(PROBLEM_TYPES))
def test_a_refusal_knows_its_reason(kind: type[Refusal]) -> None:
    """What the log will say is kept with every kind."""
    refusal = raised(kind)
    assert refusal.reason == str(refusal) != ""


def test_codes_are_names_of_their_own() -> None:
    """A program can tell every refusal from every other by a word in snake case."""
    codes = [answer.code for answer in PROBLEM_TYPES.values()]
    assert len(codes) == len(set(codes))
    assert [] == [code for code in codes if not re.fullmatch(r"[a-z]+(_[a-z]+)*", code)]


def test_every_answer_says_no_and_where_that_is_written() -> None:
    """A status that says no, or where to go first; a title for people, the paragraph for others."""
    for answer in PROBLEM_TYPES.values():
        assert 400 <= answer.status.value <= 599 or answer.status.value == 302
        assert answer.title
        assert re.fullmatch(r"RFC \d{4} §\d+(\.\d+)*", answer.source)


def test_a_used_up_limit_is_named() -> None:
    """The log says which limit it was; where the caller stands goes into the answer."""
    refusal = RateLimited(STATE)
    assert "limit default" == refusal.reason
    assert STATE == refusal.state


def test_what_is_unavailable_says_when_to_come_back() -> None:
    """In a second, unless somebody knows better."""
    assert 1.0 == StoreUnavailable().retry_after_s
    assert 7.5 == StoreUnavailable("slow", retry_after_s=7.5).retry_after_s


def test_all_faults_of_a_config_are_told_together() -> None:
    """Each fault is a line."""
    error = ConfigError(["a.yaml:1: no", "a.yaml:2: no"])
    assert "a.yaml:1: no\na.yaml:2: no" == str(error)
    assert ["a.yaml:1: no", "a.yaml:2: no"] == error.problems
