"""
The first sign-in of a person: how far its deliveries are, in the marker ``first-login:{issuer}``.

The script of the sign-in makes the marker: ``pending``, or ``done`` where no endpoint hears of it.
A worker that has claimed a delivery makes it ``running``, by its fence; ``done`` when all endpoints
have taken the event, and then for ever; ``dead`` when those that have not have given it up. A
worker that is late, whose fence is not the latest, changes nothing.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple, cast

from gateway.core.errors import StoreUnavailable
from gateway.core.ports import Script, Store
from gateway.core.replies import is_count
from gateway.hooks.attempts import GIVEN_UP_S
from gateway.hooks.outboxes import MARKER

WAIT_S: Final = 10.0
"""How long after the first sign-in of a person its sign-ins wait at most."""
AT_ONCE: Final = 64
"""Sign-ins of a process that wait at one time; the pages of others must not wait for them."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.02, 0.5
_PENDING_MS: Final = int(GIVEN_UP_S * 1000)
"""How long a first sign-in counts as pending, whatever has become of its endpoints."""
_WAIT, _SETTLED = 0, 1

NOTE: Final = Script.packaged("gateway.hooks", "first_login", is_count)
SETTLED: Final = Script.packaged("gateway.hooks", "first_login_settled", is_count)

MarkerState = Literal["pending", "running", "done", "dead"]


class Holder(NamedTuple):
    """A claim of a delivery of a first sign-in."""

    issuer: str
    event_id: str
    endpoint: str
    fence: int


class FirstLogins:
    """The markers of one store. Methods raise `StoreUnavailable`, but for `settled`."""

    def __init__(
        self, store: Store, wanted: Sequence[str], awaited: Sequence[str], owner: str
    ) -> None:
        """
        ``wanted`` endpoints hear of first sign-ins, and the ``awaited`` ones are waited for.

        ``owner`` is this process, as operators see it.
        """
        self._store = store
        self._wanted = tuple(wanted)
        self._awaited = tuple(awaited)
        self._owner = owner
        self._waiting = 0

    async def note(self, holder: Holder, state: MarkerState, lease_ms: int = 0) -> bool:
        """Note a state; False where the holder is late, or the marker does not ask for it."""
        issuer, event_id, endpoint, fence = holder
        args: list[str | int] = [state, event_id, endpoint, fence, self._owner, lease_ms]
        return await self._store.run(NOTE, [MARKER + issuer], [*args, *self._wanted]) == 1

    async def settled(self, issuer: str, within_s: float = WAIT_S) -> bool:
        """
        Wait until the awaited endpoints have taken the first sign-in of ``issuer``.

        False where they have not within the time, or the store does not tell. A sign-in that comes
        later than that does not wait: an endpoint that is down, or gone from the config, holds up
        the first sign-in alone.
        """
        if not self._awaited:
            return True
        if self._waiting >= AT_ONCE:
            return await self._state(issuer, within_s) == _SETTLED
        self._waiting += 1
        try:
            async with asyncio.timeout(within_s):
                pause_s = _FIRST_PAUSE_S
                while (state := await self._state(issuer, within_s)) == _WAIT:
                    await asyncio.sleep(pause_s)
                    pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        except TimeoutError:
            return False
        finally:
            self._waiting -= 1
        return state == _SETTLED

    async def _state(self, issuer: str, within_s: float) -> int:
        args: list[str | int] = [int(within_s * 1000), _PENDING_MS, *self._awaited]
        try:
            return cast("int", await self._store.run(SETTLED, [MARKER + issuer], args))
        except StoreUnavailable:
            return _WAIT
