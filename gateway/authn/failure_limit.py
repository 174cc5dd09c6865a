"""
Rate limit on failed authentication, for each client.

A client that guesses, or sends forged tokens, makes the gateway check signatures and ask the store
and Magic. So each refused credential is charged to the client. Once its limit is used up, the
gateway checks no new credential of that client until the limit has room again.

A credential that this process verified before is no guess and still passes. So clients that share
an address with an attacker can go on working. Sessions are not charged: browsers repeat dead
cookies by themselves, looking one up costs no more than counting it, and 256 bits cannot be
guessed.
"""

from dataclasses import dataclass, field

from gateway.core.errors import (
    ExpiredApiKey,
    ExpiredToken,
    RateLimited,
    Refusal,
    RevokedApiKey,
    RevokedToken,
)
from gateway.core.limit import Limit, LimitState
from gateway.core.limit_counts import LimitCounts
from gateway.core.ports import Clock, Limiter
from gateway.core.request import Client
from gateway.ratelimit.lists import LimitLists
from gateway.util.lru import LruCache

_ONCE_VALID = (ExpiredToken, RevokedToken, ExpiredApiKey, RevokedApiKey)
_MAX_CLIENTS = 10_000

DEFAULT_LIMIT = Limit("failures", 300, 60)
"""The limit that applies where the config defines none of this name."""


@dataclass(slots=True)
class FailureLimit:
    """Charges clients for refused credentials, and blocks those whose limit is used up."""

    limiter: Limiter
    clock: Clock
    limit: Limit = DEFAULT_LIMIT
    blocked_until: LruCache[str, tuple[float, LimitState]] = field(
        default_factory=lambda: LruCache(_MAX_CLIENTS)
    )
    """By client: the Unix time, in seconds, until which it is blocked. Mostly empty."""
    lists: LimitLists = field(default_factory=LimitLists)
    counts: LimitCounts = field(default_factory=LimitCounts)
    """Of the limit: blocked clients are refused without asking ``limiter``, which counts others."""

    def refuse_if_blocked(self, client: Client) -> None:
        """Raise `RateLimited` where the limit of ``client`` is used up, `DeniedByLimit` by list."""
        if self.lists.in_use:
            self.lists.refuse_address((self.limit,), client.address)
        blocked_until = self.blocked_until.get(client.limit_key)
        if blocked_until is None:
            return
        until_s, state = blocked_until
        left_s = until_s - self.clock()
        if not 0 < left_s <= 2 * self.limit.window_s:  # over, or the clock was set back
            self.blocked_until.forget(client.limit_key)
            return
        self.counts.refused += 1
        raise RateLimited(state._replace(retry_after_s=left_s))

    async def charge(self, client: Client, refusal: Refusal) -> None:
        """
        Charge ``client`` for a refused credential. Raises `RateLimited` where its limit is used up.

        Expired tokens are not charged: expiry is checked before anything expensive, and honest
        clients send such tokens now and then. Revoked credentials, which were valid once, are not
        charged either.
        """
        if isinstance(refusal, _ONCE_VALID):
            return
        if self.lists.in_use and not self.lists.counted((self.limit,), client.address):
            return
        state = await self.limiter.spend(self.limit, client.limit_key)
        if not state.remaining and not self.limit.is_shadow:
            refused = state._replace(allowed=False)
            self.blocked_until.put(client.limit_key, (self.clock() + state.retry_after_s, refused))
        if not state.allowed:
            raise RateLimited(state) from refusal

    def forget(self, name: str) -> None:
        """Forget failures that were set back: ``name`` is of the limit, a space, and the client."""
        rule, _, client = name.partition(" ")
        if rule == self.limit.name:
            self.blocked_until.forget(client)
