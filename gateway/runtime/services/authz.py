"""Build the stage that decides what an identity may do."""

from contextlib import AsyncExitStack

from gateway.authz.authoriser import Authoriser
from gateway.authz.role_store import RedisRoleStore
from gateway.config import compile as compiled
from gateway.config.schema import Settings
from gateway.core.invalidation import InvalidationKind
from gateway.runtime.process import ProcessServices


def authoriser(settings: Settings, process: ProcessServices, stack: AsyncExitStack) -> Authoriser:
    """Build the stage; ``stack`` closes and unsubscribes what reads the roles of the store."""
    roles = None
    if settings.identity.roles_from_store:
        roles = RedisRoleStore(process.store)
        roles.lookups = process.wire.counters.cache("roles")
        stack.push_async_callback(roles.aclose)
        stack.callback(process.bus.on(InvalidationKind.ROLES, roles.forget))
        stack.callback(process.bus.on_missed(roles.forget_all))
    return Authoriser(compiled.grants(settings), roles, compiled.permitted(settings))
