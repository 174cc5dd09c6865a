"""
Whether people who have signed in before have markers: to webhooks, those without are new.

Every sign-in writes the marker, with or without webhooks. Without one are those who signed in only
before there were markers, or whose marker a store has lost.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Final, NamedTuple

from gateway.config.problems import KeyPath, Problem
from gateway.config.schema import Settings
from gateway.core.errors import StartError, StoreUnavailable
from gateway.core.event import EventType
from gateway.core.issuer import is_user
from gateway.hooks.known_people import mark
from gateway.hooks.outboxes import MARKER
from gateway.runtime.services.store import scan_keys, shared_store
from gateway.sessions import index
from gateway.users.known import known_key

UNMARKED: Final = "first-logins-unmarked"
"""The code of the warning."""
MARK_THEM: Final = "mark them with gateway hooks mark"
LOOKED_AT: Final = 200
"""People whose markers are looked for at most: any that come first in the store."""

_log = logging.getLogger("gateway.hooks")


class MarkersSeen(NamedTuple):
    """What was found, in words."""

    are_missing: bool
    text: str


def places_of_first_logins(settings: Settings) -> list[KeyPath]:
    """Return where the config names what hears of first logins."""
    hooks = settings.hooks
    listed = {
        "endpoints": [each.events for each in hooks.endpoints],
        "functions": [each.events for each in hooks.functions],
    }
    short: list[KeyPath] = [] if hooks.first_login is None else [("hooks", "first_login")]
    return short + [
        ("hooks", key, number)
        for key, all_events in listed.items()
        for number, events in enumerate(all_events)
        if EventType.FIRST_LOGIN in events
    ]


async def look_for_markers(settings: Settings) -> MarkersSeen:
    """
    Look for the markers of people who are known to the store. It is only read.

    All keys may be read for that. Raises `StoreUnavailable`, or `StartError` for a store that this
    process cannot reach.
    """
    signed_in = await _issuers(settings, index.PREFIX, LOOKED_AT)
    if signed_in:
        async with shared_store(settings) as shared:
            missing = await mark(shared.store, signed_in, changes_nothing=True)
        if missing:
            text = (
                f"{missing} of {len(signed_in)} users with sessions have no marker of a first login"
            )
            return MarkersSeen(True, f"{text}: to webhooks they are new")
        return MarkersSeen(False, "markers are there")
    if await _issuers(settings, MARKER, 1):
        return MarkersSeen(False, "markers are there")
    if await _issuers(settings, known_key(""), 1):
        text = "users are known, and none is marked as signed in before: to webhooks all are new"
        return MarkersSeen(True, text)
    return MarkersSeen(False, "no user is known yet")


async def unmarked_people(settings: Settings) -> list[Problem]:
    """
    Return the warning that markers are missing, at the first webhook that hears of first logins.

    Raises what `look_for_markers` raises.
    """
    places = places_of_first_logins(settings)
    seen = await look_for_markers(settings) if places else None
    if seen is None or not seen.are_missing:
        return []
    return [Problem(places[0], seen.text, remedy=MARK_THEM, code=UNMARKED)]


async def _issuers(settings: Settings, start: str, most: int) -> list[str]:
    """Return some users whose issuer follows ``start`` in a key."""
    found: dict[str, None] = {}
    keys: AsyncGenerator[str, None] = scan_keys(settings, start)
    async with aclosing(keys):
        async for key in keys:
            if is_user(issuer := key.removeprefix(start)):
                found[issuer] = None
                if len(found) == most:
                    break
    return list(found)


@asynccontextmanager
async def unmarked_warnings(settings: Settings) -> AsyncIterator[Callable[[Settings], None]]:
    """
    Warn in the log where markers are missing, at the start and where webhooks are added.

    Yields what is to be called with each config that is put in use. Serving waits for none of it.
    """
    looking: set[asyncio.Task[None]] = set()
    heard = False

    def look(settings: Settings) -> None:
        nonlocal heard
        before, heard = heard, bool(places_of_first_logins(settings))
        if heard and not before:
            task = asyncio.create_task(_warn(settings))
            looking.add(task)
            task.add_done_callback(looking.discard)

    look(settings)
    try:
        yield look
    finally:
        for task in looking:
            task.cancel()
        await asyncio.gather(*looking, return_exceptions=True)


async def _warn(settings: Settings) -> None:
    try:
        seen = await look_for_markers(settings)
    except (StoreUnavailable, StartError):  # readiness tells of a store that does not answer; one
        return  # in memory alone knows no person from before
    if seen.are_missing:
        _log.warning("hooks: %s: %s", seen.text, MARK_THEM)
