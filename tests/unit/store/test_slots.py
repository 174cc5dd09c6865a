"""Hash slots, and which node serves each of them."""

import pytest

from gateway.store.slots import (
    SLOTS,
    NodeAddress,
    SlotRange,
    covered,
    is_host,
    is_slot_map,
    ranges_of,
    slot_of,
)

ASKED = NodeAddress("10.0.0.9", 6379)


@pytest.mark.parametrize(
    ("name", "slot"),
    [
        pytest.param(b"foo", 12182, id="of-the-documentation"),
        pytest.param(b"123456789", 0x31C3, id="of-the-specification"),
        pytest.param(b"a{foo}b", 12182, id="a-hash-tag"),
        pytest.param(b"a{foo}{bar}", 12182, id="the-first-hash-tag"),
        pytest.param(b"{{foo}", slot_of(b"{foo"), id="braces-do-not-nest"),
        pytest.param(b"", 0, id="nothing"),
    ],
)
def test_the_slot_of_a_key(name: bytes, slot: int) -> None:
    """By the hash tag, where there is one."""
    assert slot == slot_of(name)


@pytest.mark.parametrize("name", [b"foo{}{bar}", b"foo{bar", b"foo}bar{", b"foo}{"])
def test_without_a_hash_tag_all_of_a_key_counts(name: bytes) -> None:
    """An empty tag, or one that does not end, is none."""
    assert slot_of(name) != slot_of(b"bar")
    assert slot_of(name) != slot_of(name + b"x")
    assert 0 <= slot_of(name) < SLOTS


REPLY = [
    [0, 99, [b"10.0.0.1", 7000, b"id", [b"hostname", b"x"]], [b"10.0.0.4", 7000, b"id"]],
    [100, 199, [None, 7001, b"id"]],
    [200, 299, [b"", 7002]],
    [300, 399, [b"?", 7003]],
]


def test_the_primary_of_a_range_stands_first() -> None:
    """A host that the node does not know is the one asked; a name that it does not know is none."""
    assert is_slot_map(REPLY)

    ranges = ranges_of(REPLY, ASKED)

    assert [
        SlotRange(0, 99, NodeAddress("10.0.0.1", 7000)),
        SlotRange(100, 199, NodeAddress("10.0.0.9", 7001)),
        SlotRange(200, 299, NodeAddress("10.0.0.9", 7002)),
    ] == ranges
    assert 300 == covered(ranges)
    assert 0 == covered([])


@pytest.mark.parametrize(
    "reply",
    [
        None,
        b"OK",
        1,
        [1],
        [[0, 1]],
        [[0, 1, []]],
        [[0, 1, [b"h"]]],
        [[0, 1, [b"h", b"1"]]],
        [[0, 1, [1, 1]]],
        [[1, 0, [b"h", 1]]],
        [[-1, 0, [b"h", 1]]],
        [[0, SLOTS, [b"h", 1]]],
        [[0, 1, [b"h", 65_536]]],
        [[0, 1, [b"h", -1]]],
        [[0, 1, [b"h/0?ssl_cert_reqs=none#", 1]]],
        [[0, 1, [b"u:p@h", 1]]],
        [[0, 1, [b"[", 1]]],
        [[0, 1, [b"h\r\n", 1]]],
        [[0, 1, [b"\xff", 1]]],
        [[0, 1, [b"h" * 254, 1]]],
    ],
)
def test_replies_of_other_commands_are_no_slot_map(reply: object) -> None:
    """Whatever cannot be read is refused before it is used."""
    assert not is_slot_map(reply)
    assert is_slot_map([])


@pytest.mark.parametrize("host", ["10.0.0.1", "::1", "::ffff:10.0.0.1", "db_1.db-x.internal", ""])
def test_hosts_of_nodes(host: str) -> None:
    """Names and addresses of either version; none for the node that was asked."""
    assert is_host(host)
    assert is_slot_map([[0, 1, [host.encode(), 1]]])


def test_an_address_is_written_as_in_urls() -> None:
    """An IPv6 address has brackets."""
    assert "h:1" == str(NodeAddress("h", 1))
    assert "[::1]:1" == str(NodeAddress("::1", 1))
