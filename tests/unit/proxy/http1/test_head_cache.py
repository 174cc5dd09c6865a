"""Fields that repeat on a connection keep their judged form, and what was derived from them."""

import pytest

from gateway.proxy.http1.head_cache import HeadCache
from gateway.proxy.http1.line_table import LineTable
from gateway.proxy.http1.parser import KNOWN_NAMES

BLOCK = b"Host: x\r\nAccept: */*\r\n\r\n"
OTHER = b"Host: x\r\nAccept: */x\r\n\r\n"
FOR_THE_PARSER = b"Host: x\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def cache() -> HeadCache:
    """The cache of a connection on which nothing has come yet."""
    return HeadCache(LineTable(KNOWN_NAMES), 10)


def test_fields_that_repeat_have_a_memo(cache: HeadCache) -> None:
    """It is the same for all heads that repeat them; what comes once has none."""
    first, second, third = (cache.read(BLOCK) for _ in range(3))
    assert first is not None
    assert second is not None
    assert (None, {}) == (first[3], second[3])
    assert third is second
    assert (b"Host: x", b"Accept: */*") == tuple(second[1].lines)


def test_other_fields_have_no_part_in_a_memo(cache: HeadCache) -> None:
    """A memo ends with the fields that it was made of."""
    cache.read(BLOCK)
    before = cache.read(BLOCK)
    between = cache.read(OTHER)
    after = cache.read(BLOCK)
    assert before is not None
    assert between is not None
    assert after is not None
    assert ({}, None, None) == (before[3], between[3], after[3])


def test_what_the_parser_has_to_judge_is_not_kept(cache: HeadCache) -> None:
    """However often it comes."""
    assert [None, None] == [cache.read(FOR_THE_PARSER) for _ in range(2)]
    assert cache.is_empty


def test_what_was_forgotten_has_no_memo(cache: HeadCache) -> None:
    """An idle connection keeps nothing."""
    cache.read(BLOCK)
    cache.read(BLOCK)
    assert not cache.is_empty
    cache.forget()
    assert cache.is_empty
    again = cache.read(BLOCK)
    assert again is not None
    assert again[3] is None
