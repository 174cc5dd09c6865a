"""Listens to a channel of the store until it is cancelled, however often that breaks off."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from gateway.store.connect import cause_of
from gateway.util.backoff import Backoff

_FIRST_S, _LONGEST_S, _SETTLED_S = 0.05, 2.0, 10.0

_log = logging.getLogger("gateway.store.pubsub")


async def listen_for_ever(listen: Callable[[], Awaitable[None]]) -> None:
    """Call ``listen`` again whenever it fails, with a pause; raises nothing but a cancellation."""
    loop, backoff = asyncio.get_running_loop(), Backoff(_FIRST_S, _LONGEST_S, _SETTLED_S)
    is_logged = False
    while True:
        began_s = loop.time()
        try:
            await listen()
        except Exception as error:  # noqa: BLE001 (clients raise many kinds; all mean the same)
            if not is_logged or loop.time() - began_s >= _SETTLED_S:
                _log.warning("not subscribed to the store's channel: %s", cause_of(error))
            is_logged = True
        await asyncio.sleep(backoff.after(loop.time() - began_s))
