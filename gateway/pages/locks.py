"""``POST /locks/{name}``: locks for the apps behind the gateway; see docs/locks.md."""

import secrets
from functools import partial
from typing import Self

import orjson
from aiohttp import web

from gateway.core.errors import LockHeld, LockLost, TooManyLocks
from gateway.core.ports import Store
from gateway.pages.caller import require_caller
from gateway.pages.json_body import json_body
from gateway.pages.lock_request import (
    AcquireLock,
    ReleaseLock,
    RenewLock,
    lock_name,
    read_lock_request,
)
from gateway.pages.services import PageGroup, PageServices
from gateway.store.lock import LockLease, LockRefused, Locks
from gateway.store.lock_waiters import LockWaiters
from gateway.util.rfc3339 import rfc3339

_HOLDER_BYTES = 16


class LockPages(PageGroup):
    """
    Locks of the owners of API keys: the names of two owners never meet.

    The route lets in API keys with the scope ``locks`` alone.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiters = LockWaiters()

    @classmethod
    def of(cls, services: PageServices) -> Self | None:
        return cls(services.store) if services.settings.credentials.api_keys else None

    async def act(self, request: web.Request) -> web.Response:
        """Acquire, renew or release a lock."""
        space = require_caller(request).user.issuer
        name = lock_name(request.match_info["name"])
        asked = read_lock_request(await json_body(request))
        locks = Locks(self._store, space)
        match asked:
            case AcquireLock():
                return await self._acquire(request, locks, space, name, asked)
            case RenewLock(holder, fence, lease_ms):
                lease = await locks.renew(name, holder, fence, lease_ms)
                if lease is None:
                    raise LockLost(name)
                return _describe(name, holder, lease, lease_ms, status=200)
            case ReleaseLock(holder, fence):
                if not await locks.release(name, holder, fence):
                    raise LockLost(name)
                self._waiters.released(space, name)
                return web.Response(status=204)

    async def _acquire(
        self, request: web.Request, locks: Locks, space: str, name: str, asked: AcquireLock
    ) -> web.Response:
        holder = asked.holder or secrets.token_urlsafe(_HOLDER_BYTES)
        attempt = partial(locks.acquire, name, holder, asked.lease_ms)
        is_wanted = partial(_is_wanted, request)
        found = await self._waiters.acquire(attempt, space, name, asked.wait_s, is_wanted)
        if isinstance(found, LockRefused):
            kind = TooManyLocks if found.is_full else LockHeld
            raise kind(name, found.left_ms / 1000)
        if not is_wanted() and not asked.holder:  # which none but the client that left would learn
            await locks.release(name, holder, found.fence)
            self._waiters.released(space, name)
        return _describe(name, holder, found, asked.lease_ms, status=201)


def _is_wanted(request: web.Request) -> bool:
    """Whether the client still waits for an answer."""
    return request.transport is not None and not request.transport.is_closing()


def _describe(
    name: str, holder: str, lease: LockLease, lease_ms: int, *, status: int
) -> web.Response:
    described = {
        "name": name,
        "holder": holder,
        "fence": lease.fence,
        "expires_at": rfc3339(lease.ends_at_ms),
        "expires_in_s": lease_ms / 1000,
    }
    return web.Response(
        status=status, body=orjson.dumps(described), content_type="application/json"
    )
