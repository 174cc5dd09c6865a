"""The table of refusals and their responses."""

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


def test_every_refusal_has_a_response() -> None:
    """No refusal can reach a client as a bare 500."""
    assert subclasses(Refusal) - ABSTRACT == set(PROBLEM_TYPES)


@pytest.mark.parametrize("kind", sorted(ABSTRACT, key=str))
def test_abstract_refusals_cannot_be_raised(kind: type[Refusal]) -> None:
    """Only a class in the table can be instantiated."""
    with pytest.raises(TypeError, match=f"{kind.__name__} is no kind of refusal"):
        kind("because")


@pytest.mark.parametrize("kind", list(PROBLEM_TYPES))
def test_every_refusal_keeps_its_reason(kind: type[Refusal]) -> None:
    """The log shows it."""
    refusal = raised(kind)
    assert refusal.reason == str(refusal) != ""


def test_codes_are_distinct_words() -> None:
    """A program can tell every refusal from every other by a word in snake case."""
    codes = [answer.code for answer in PROBLEM_TYPES.values()]
    assert len(codes) == len(set(codes))
    assert [] == [code for code in codes if not re.fullmatch(r"[a-z]+(_[a-z]+)*", code)]


def test_every_response_has_an_error_status_and_a_source() -> None:
    """Or a redirect; a title for people, and the section of a standard."""
    for answer in PROBLEM_TYPES.values():
        assert 400 <= answer.status.value <= 599 or answer.status.value == 302
        assert answer.title
        assert re.fullmatch(r"RFC \d{4} §\d+(\.\d+)*", answer.source)


def test_a_refusal_by_a_limit_names_it() -> None:
    """The log names the limit; its state goes into the response."""
    refusal = RateLimited(STATE)
    assert "limit default" == refusal.reason
    assert STATE == refusal.state


def test_unavailable_refusals_have_a_retry_after() -> None:
    """It is one second by default."""
    assert 1.0 == StoreUnavailable().retry_after_s
    assert 7.5 == StoreUnavailable("slow", retry_after_s=7.5).retry_after_s


def test_a_config_error_lists_all_problems() -> None:
    """Each problem is a line."""
    error = ConfigError(["a.yaml:1: no", "a.yaml:2: no"])
    assert "a.yaml:1: no\na.yaml:2: no" == str(error)
    assert ["a.yaml:1: no", "a.yaml:2: no"] == error.problems
