"""
Sessions that a replica does not have: asked for again, of the server that has all of them.

Where any replica may answer a read, a session that began a moment ago at another gateway looks
absent. That must not sign its user out.
"""

from typing import Final

from gateway.core.ports import Script, Store
from gateway.core.replies import is_text_or_nil

LATEST: Final = Script.packaged("gateway.sessions", "latest", is_text_or_nil)


async def latest(store: Store, session_key: str) -> bytes | None:
    """Read a record from the server that takes writes. Raises `StoreUnavailable`."""
    record = await store.run(LATEST, [session_key], [])
    return record if isinstance(record, bytes) else None
