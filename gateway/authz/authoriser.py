"""
Authorisation, a stage of the journey: find the caller's roles, then enforce the rules.

Roles are granted by the config, and by ``roles:{issuer}`` in the store where the config allows it.
"""

from dataclasses import dataclass, field, replace

from gateway.authz.rules import Permissions, holds_for
from gateway.core.errors import StoreUnavailable
from gateway.core.identity import Identity
from gateway.core.ports import RoleStore
from gateway.core.request import Client
from gateway.core.route import Grant, Route
from gateway.util.by_identity import ByIdentity

_MAX_CACHED = 4096

_StoredRoles = tuple[str, ...] | None
"""Roles in the store; None where the store is unavailable."""

_RolesLookup = tuple[_StoredRoles, Identity]
"""The roles that the store gave an identity, and the identity with all its roles."""


@dataclass(frozen=True, slots=True)
class Authoriser:
    """Grants roles and enforces the rules of routes; caches by `Identity` object alone."""

    grants: tuple[Grant, ...] = ()
    store: RoleStore | None = None
    permissions: Permissions = field(default_factory=Permissions)
    gives_roles: bool = field(init=False)
    """Whether `with_roles` can add a role."""
    _known: ByIdentity[_RolesLookup] = field(default_factory=lambda: ByIdentity(_MAX_CACHED))
    """By the identity without its roles."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "gives_roles", bool(self.grants) or self.store is not None)

    async def with_roles(self, identity: Identity, route: Route) -> Identity:
        """
        Return ``identity`` with its roles.

        While the store is unavailable its roles are unknown. A route that requires roles raises
        `StoreUnavailable` then; on others the request goes on, and the roles are None.
        """
        stored: _StoredRoles = ()
        if self.store is not None:
            try:
                stored = await self.store.roles(identity.user.issuer)
            except StoreUnavailable:
                if _requires_roles(route):
                    raise
                stored = None
        known = self._known.get(id(identity))
        if known is None or known[0] != stored:
            known = self._known.keep((stored, self._granted(identity, stored)), identity)
        return known[1]

    def enforce(self, route: Route, identity: Identity | None, client: Client, method: str) -> None:
        """Enforce the rules of ``route``; see `Permissions.enforce`."""
        self.permissions.enforce(route, identity, client, method)

    def _granted(self, identity: Identity, stored: _StoredRoles) -> Identity:
        if stored is None:
            return replace(identity, roles=None)
        given = {grant.role for grant in self.grants if holds_for(grant.rule, identity)}
        return replace(identity, roles=tuple(sorted({*(identity.roles or ()), *given, *stored})))


def _requires_roles(route: Route) -> bool:
    return any(rule.roles for rule in (*route.allow, *route.deny))
