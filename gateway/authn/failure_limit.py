"""
Failed credentials have a bucket of their own, for each client.

Whoever guesses, or sends forged tokens, makes the gateway check signatures and ask the store and
Magic. So each refused credential is charged to the client; once the bucket is empty, no credential
of its that is new here is looked at until there is room again.

What was proven here before is no guess and still passes, so that many behind one address go on
working beside one that misbehaves. Sessions have no part in it: browsers repeat dead cookies by
themselves, looking one up costs no more than counting it would, and 256 bits cannot be guessed.
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
from gateway.core.ports import Clock, Limiter
from gateway.core.request import Client
from gateway.util.lru import LruCache

_WERE_GOOD = (ExpiredToken, RevokedToken, ExpiredApiKey, RevokedApiKey)
_MAX_CLIENTS = 10_000

DEFAULT_LIMIT = Limit("failures", 300, 60)
"""Where the config has no limit of this name."""


@dataclass(slots=True)
class FailureLimit:
    """Charges clients for credentials that were refused, and knows who has had enough."""

    limiter: Limiter
    clock: Clock
    limit: Limit = DEFAULT_LIMIT
    blocked_until: LruCache[str, tuple[float, LimitState]] = field(
        default_factory=lambda: LruCache(_MAX_CLIENTS)
    )
    """By client: the Unix time, in seconds, until which it is refused. Mostly empty."""

    def refuse_if_blocked(self, client: Client) -> None:
        """Raise `RateLimited` where ``client`` has nothing left."""
        blocked_until = self.blocked_until.get(client.limit_key)
        if blocked_until is None:
            return
        until_s, state = blocked_until
        left_s = until_s - self.clock()
        if not 0 < left_s <= 2 * self.limit.window_s:  # over, or the clock was set back
            self.blocked_until.forget(client.limit_key)
            return
        raise RateLimited(state._replace(retry_after_s=left_s))

    async def charge(self, client: Client, refusal: Refusal) -> None:
        """
        Charge ``client`` for what was refused; raise `RateLimited` where it has nothing left.

        Expired tokens are free: that they are is seen before anything that costs, and an honest
        client sends one now and then. So are revoked ones, which were good.
        """
        if isinstance(refusal, _WERE_GOOD):
            return
        state = await self.limiter.spend(self.limit, client.limit_key)
        if not state.remaining:
            refused = state._replace(allowed=False)
            self.blocked_until.put(client.limit_key, (self.clock() + state.retry_after_s, refused))
        if not state.allowed:
            raise RateLimited(state) from refusal
