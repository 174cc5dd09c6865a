"""Markers for people who signed in before there were markers: no first sign-in of them is due."""

from asyncio import gather
from collections.abc import Iterable
from itertools import islice
from typing import Final, cast

from gateway.core.ports import Script, Store
from gateway.core.replies import is_count
from gateway.hooks.outboxes import MARKER

_AT_ONCE: Final = 200

MARK: Final = Script.packaged("gateway.hooks", "known_person", is_count)


async def mark(store: Store, issuers: Iterable[str], *, changes_nothing: bool = False) -> int:
    """
    Mark issuers as people who have signed in before; return how many had no marker.

    One that has a marker keeps it, whatever its state. Raises `StoreUnavailable`; it can be called
    again then.
    """
    manner, absent, left = "look" if changes_nothing else "", 0, iter(issuers)
    while batch := list(islice(left, _AT_ONCE)):
        replies = await gather(*(store.run(MARK, [MARKER + each], [manner]) for each in batch))
        absent += sum(cast("list[int]", replies))
    return absent
