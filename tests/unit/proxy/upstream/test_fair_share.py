"""Which client may have one more connection, and which of those that wait is next."""

import pytest

from gateway.proxy.upstream.fair_share import FairQueue, may_hold, share_of


@pytest.mark.parametrize(
    ("held", "busy", "total", "expected"),
    [
        pytest.param(0, 0, 256, True, id="nothing-in-use"),
        pytest.param(191, 191, 256, True, id="alone-up-to-three-quarters"),
        pytest.param(192, 192, 256, False, id="alone-with-three-quarters"),
        pytest.param(0, 192, 256, True, id="another-in-the-last-quarter"),
        pytest.param(63, 255, 256, True, id="under-a-quarter"),
        pytest.param(64, 200, 256, False, id="with-a-quarter"),
        pytest.param(64, 191, 256, True, id="with-a-quarter-while-there-is-room"),
        pytest.param(2, 2, 4, True, id="small"),
        pytest.param(3, 3, 4, False, id="small-and-alone"),
        pytest.param(0, 3, 4, True, id="small-and-another"),
        pytest.param(2, 2, 3, True, id="too-small-to-share-out"),
        pytest.param(0, 0, 1, True, id="one"),
    ],
)
def test_who_may_have_one_more(held: int, busy: int, total: int, expected: bool) -> None:
    """While fewer than a quarter are free, no client gets more than a quarter."""
    assert expected is may_hold(held, busy, total)


@pytest.mark.parametrize("total", [4, 5, 64, 255, 256, 1000])
def test_a_client_alone_leaves_a_quarter(total: int) -> None:
    """Whatever the number of connections."""
    held = 0
    while held < total and may_hold(held, held, total):
        held += 1
    assert share_of(total) == total - held


def _drain(queue: FairQueue[int], *refused: str) -> list[int]:
    items = []
    while (waiting := queue.first(lambda client: client not in refused)) is not None:
        items.append(waiting.item)
        queue.remove(*waiting)
    return items


def test_clients_take_turns() -> None:
    """A client that waits many times is served once before the next."""
    queue: FairQueue[int] = FairQueue()
    for client, item in (("a", 1), ("a", 2), ("a", 3), ("b", 4), ("b", 5), ("c", 6)):
        queue.append(client, item)
    assert [1, 4, 6, 2, 5, 3] == _drain(queue)
    assert not queue.lines


def test_a_client_that_is_not_allowed_is_passed_over() -> None:
    """It stays in the queue."""
    queue: FairQueue[int] = FairQueue()
    for client, item in (("a", 1), ("b", 2), ("a", 3)):
        queue.append(client, item)
    assert [2] == _drain(queue, "a")
    assert queue.lines
    assert [1, 3] == _drain(queue)


def test_what_left_is_not_next() -> None:
    """To leave twice does no harm."""
    queue: FairQueue[int] = FairQueue()
    for item in (1, 2):
        queue.append("a", item)
    queue.remove("a", 1)
    queue.remove("a", 1)
    queue.remove("b", 1)
    assert [2] == _drain(queue)
    queue.remove("a", 2)
    assert not queue.lines
