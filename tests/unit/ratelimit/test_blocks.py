"""Callers over their limit are refused from memory, for as long as they were told to wait."""

from collections.abc import Iterator
from dataclasses import replace
from typing import NoReturn

import pytest

from gateway.core.limit import Limit, LimitState
from gateway.ratelimit.blocks import Block, Blocks
from gateway.ratelimit.charge import CallerKey

LIMIT = Limit("any", 5, 60)
KEY = id(LIMIT), "a"
FRESH_S = 0.1


@pytest.fixture
def blocks() -> Blocks:
    """One caller is blocked from 1000 on: a window ends in 10 s, there is room in 30."""
    blocks = Blocks(FRESH_S, max_callers=64)
    blocks.put(KEY, LIMIT, 1, LimitState(LIMIT, False, 0, 10.0, 30.0), 1000.0)
    return blocks


@pytest.mark.parametrize(
    ("now_s", "told"),
    [
        pytest.param(1000.0, (10.0, 30.0), id="at-once"),
        pytest.param(1000.05, (10.0, 30.0), id="while-that-is-fresh"),
        pytest.param(1004.0, (6.0, 26.0), id="later"),
        pytest.param(1012.0, (58.0, 18.0), id="in-the-next-window"),
        pytest.param(1030.0, None, id="when-there-is-room"),
        pytest.param(999.0, None, id="a-clock-that-was-set-back"),
    ],
)
def test_a_caller_is_told_how_long_to_wait_from_now(
    blocks: Blocks, now_s: float, told: tuple[float, float] | None
) -> None:
    """And asks the store when that is over."""
    state = blocks.find(KEY, 1, now_s)
    assert told == (None if state is None else (state.reset_s, state.retry_after_s))
    assert len(blocks) == (told is not None)


def test_a_cost_blocks_what_costs_as_much(blocks: Blocks) -> None:
    """Less may still pass."""
    blocks.put(KEY, LIMIT, 3, LimitState(LIMIT, False, 2, 10.0, 30.0), 1000.0)
    refused = [blocks.find(KEY, cost, 1000.0) is not None for cost in range(5)]
    assert [False, False, False, True, True] == refused


def test_a_caller_is_forgotten_by_the_name_of_the_limit(blocks: Blocks) -> None:
    """Other limits and callers stay blocked; so they do not where all are forgotten."""
    other = Limit("other", 5, 60)
    state = LimitState(other, False, 0, 10.0, 30.0)
    blocks.put((id(other), "a"), other, 1, state, 1000.0)
    blocks.put((id(LIMIT), "b"), LIMIT, 1, state, 1000.0)

    blocks.forget("any", "a")

    assert blocks.find(KEY, 1, 1000.0) is None
    assert 2 == len(blocks)
    blocks.drop((id(LIMIT), "b"))
    assert 1 == len(blocks)
    blocks.clear()
    assert 0 == len(blocks)


def test_to_forget_a_caller_does_not_look_at_others() -> None:
    """A message may come for each request, and ten thousand callers be blocked."""
    limits = [replace(LIMIT, name=f"limit{n}") for n in range(3)]
    blocks, state = Blocks(FRESH_S, max_callers=1000), LimitState(LIMIT, False, 0, 10.0, 30.0)
    for n in range(900):
        limit = limits[n % 3]
        blocks.put((id(limit), f"{n}"), limit, 1, state, 1000.0)
    blocks.by_key = Unlisted(blocks.by_key)
    blocks.forget("limit1", "4")
    blocks.forget("limit1", "5")  # which another limit blocks
    blocks.forget("unknown", "4")
    assert 899 == len(blocks)


def test_limits_that_come_and_go_take_a_bounded_memory() -> None:
    """Such as those of callers with rates of their own."""
    blocks = Blocks(FRESH_S, max_callers=64)
    limits = [replace(LIMIT, rate=1 + n) for n in range(1000)]
    for limit in limits:
        blocks.put((id(limit), "a"), limit, 1, LimitState(limit, False, 0, 10.0, 30.0), 1000.0)
    assert len(blocks.ids["any"]) <= 2 * 64 + 1
    blocks.forget("any", "a")
    assert 0 == len(blocks)
    blocks.clear()
    assert not blocks.ids


class Unlisted(dict[CallerKey, Block]):
    """Refuses to be looked through."""

    def __iter__(self) -> Iterator[CallerKey]:
        raise AssertionError

    def items(self) -> NoReturn:
        raise AssertionError


def test_those_blocked_last_are_kept(blocks: Blocks) -> None:
    """A flood of addresses takes a bounded memory."""
    state = LimitState(LIMIT, False, 0, 10.0, 30.0)
    for n in range(1000):
        blocks.put((id(LIMIT), f"{n}"), LIMIT, 1, state, 1000.0)
        assert len(blocks) <= 64
    assert blocks.find((id(LIMIT), "999"), 1, 1000.0)
    assert blocks.find(KEY, 1, 1000.0) is None
