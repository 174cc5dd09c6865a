"""What an operator sees of the outbox; nothing is changed."""

from typing import Final, cast

from gateway.core.ports import Script, Store
from gateway.core.replies import is_texts
from gateway.hooks.cloud_event import UnreadableEvent, decode
from gateway.hooks.outboxes import STREAM

_PAGE: Final = 500
"""Entries that one script looks at."""

FIND: Final = Script.packaged("gateway.hooks", "stream_find", is_texts)


async def find_recorded(store: Store, event_id: str, page: int = _PAGE) -> bytes | None:
    """
    Return an event that the outbox holds; None where it was trimmed, or never there.

    Raises `StoreUnavailable`.
    """
    after = ""
    while True:
        reply = cast("list[bytes]", await store.run(FIND, [STREAM], [after, page, event_id]))
        for raw in reply[1:]:
            if _id_of(raw) == event_id:
                return raw
        after = reply[0].decode()
        if not after:
            return None


def _id_of(raw: bytes) -> str | None:
    try:
        return decode(raw).id
    except UnreadableEvent:
        return None
