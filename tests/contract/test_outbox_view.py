"""Events of the outbox are found by their ids, over every kind of store."""

import pytest

from gateway.hooks.outbox import Outbox
from gateway.hooks.outbox_view import find_recorded
from gateway.store.redis import RedisStore
from tests.fakes.hooks import event


@pytest.mark.parametrize("page", [1, 2, 5, 100])
async def test_an_event_is_found_on_whichever_page(store: RedisStore, page: int) -> None:
    """By its whole id; what is no event of ours, and names the id of one, is passed over."""
    outbox = Outbox(store, "gw:")
    recorded = [event(f"e{number}") for number in range(1, 6)]
    found_in_vain = [b"e3", event("e33"), b"\xff e3"]
    await outbox.record([*recorded[:2], *found_in_vain, *recorded[2:]], are_sampled=False)
    for number, raw in enumerate(recorded, 1):
        assert raw == await find_recorded(store, f"e{number}", page)
    assert None is await find_recorded(store, "e", page)
    assert None is await find_recorded(store, "e6", page)


async def test_an_outbox_that_is_empty(store: RedisStore) -> None:
    """Nothing is found there."""
    assert None is await find_recorded(store, "e1")
