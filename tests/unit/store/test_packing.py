"""Commands as bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.ports import TaggedKeys
from gateway.store.packing import in_full, pack, tagged_call, words_of

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
groups = st.lists(
    st.tuples(st.lists(texts, min_size=1, max_size=3).map(tuple), st.lists(texts, max_size=5)),
    max_size=3,
)
arguments = st.lists(st.integers(-(2**60), 2**60) | texts | st.binary(max_size=5), max_size=9)


@given(texts, groups, arguments)
def test_a_call_by_tags_is_the_call_with_each_key(
    prefix: str,
    groups: list[tuple[tuple[str, ...], list[str]]],
    args: list[int | str | bytes],
) -> None:
    """Byte by byte, whatever is in names, tags and arguments."""
    keys = TaggedKeys(groups)
    names = [prefix + key for key in keys]

    call = tagged_call("digest", prefix, keys, args)

    assert pack(("EVALSHA", "digest", len(names), *names, *args)) == pack(call)
    assert pack(("EVAL", "source", len(names), *names, *args)) == pack(in_full(call, "source"))
    assert pack(tuple(words_of(call))) == pack(call)


def test_a_plain_call_is_repeated_with_its_script() -> None:
    """All other words stay."""
    assert ("EVAL", "source", 1, "k", b"v") == in_full(
        ("EVALSHA", "digest", 1, "k", b"v"), "source"
    )


def test_a_tag_that_cannot_be_encoded_is_refused() -> None:
    """The call fails before anything is sent."""
    with pytest.raises(UnicodeEncodeError):
        tagged_call("digest", "gw:", TaggedKeys([(("name:",), ["\ud800"])]), [])
