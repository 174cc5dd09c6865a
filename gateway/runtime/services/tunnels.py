"""Watch the tunnels: end those whose session has ended or whose issuer was revoked."""

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from functools import partial

from gateway.core.invalidation import InvalidationKind
from gateway.core.ports import Bus, Store
from gateway.proxy.tunnel.registry import ProofLookup, TunnelRegistry
from gateway.revocation import redis as revocations
from gateway.sessions.absent import ended
from gateway.util.background import background


@asynccontextmanager
async def watched_tunnels(
    tunnels: TunnelRegistry, store: Store, bus: Bus, *, reads_lag: bool = False
) -> AsyncIterator[None]:
    """End tunnels whose proof is void: at once on a message of the bus, else at the next look."""
    lookup = ProofLookup(
        partial(ended, store, reads_lag=reads_lag), partial(revocations.epochs_ms, store)
    )
    with ExitStack() as stack:
        stack.callback(bus.on(InvalidationKind.SESSION, tunnels.recheck_session))
        stack.callback(bus.on(InvalidationKind.REVOKED, tunnels.recheck_issuer))
        stack.callback(bus.on_missed(tunnels.recheck_all))
        async with background(tunnels.watch(lookup)), background(tunnels.recheck_pending(lookup)):
            yield
