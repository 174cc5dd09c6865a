"""
Authorisation, a stage of the journey: find the caller's roles, then enforce the rules.

Roles are granted by the config, and by ``roles:{issuer}`` in the store where the config allows it.
The config says what each role permits.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from gateway.authz.rules import Permissions, holds_for
from gateway.core.errors import StoreUnavailable
from gateway.core.identity import INTERACTIVE_METHODS, Identity, Standing, User
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
    permitted: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """What each role permits, in words."""
    permissions: Permissions = field(default_factory=Permissions)
    gives_roles: bool = field(init=False)
    """Whether `with_roles` can add a role or a permission."""
    _known: ByIdentity[_RolesLookup] = field(default_factory=lambda: ByIdentity(_MAX_CACHED))
    """By the identity without its roles."""

    def __post_init__(self) -> None:
        gives_roles = bool(self.grants or self.permitted) or self.store is not None
        object.__setattr__(self, "gives_roles", gives_roles)

    async def with_roles(self, identity: Identity, route: Route) -> Identity:
        """
        Return ``identity`` with its roles, and what they permit.

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

    async def standing(self, user: User) -> Standing:
        """
        Return the roles that ``user`` has by each kind of credential of people, for apps to read.

        The methods and scopes of a credential cannot add to them.
        """
        stored: tuple[str, ...] = ()
        if self.store is not None:
            try:
                stored = await self.store.roles(user.issuer)
            except StoreUnavailable:
                return Standing(None, None)
        given = [self._given(Identity(user, method, "", 0)) for method in INTERACTIVE_METHODS]
        roles = frozenset.intersection(*given).union(stored)
        return Standing(tuple(sorted(roles)), self._permitted(roles))

    def _granted(self, identity: Identity, stored: _StoredRoles) -> Identity:
        if stored is None:
            return replace(identity, roles=None, permissions=None)
        roles = {*(identity.roles or ()), *self._given(identity), *stored}
        permissions = self._permitted(roles)
        return replace(identity, roles=tuple(sorted(roles)), permissions=permissions)

    def _given(self, identity: Identity) -> frozenset[str]:
        """Return the roles that the config gives."""
        return frozenset(grant.role for grant in self.grants if holds_for(grant.rule, identity))

    def _permitted(self, roles: Iterable[str]) -> tuple[str, ...]:
        """Return what any of ``roles`` permits."""
        nothing: frozenset[str] = frozenset()
        return tuple(sorted(nothing.union(*(self.permitted.get(role, nothing) for role in roles))))


def _requires_roles(route: Route) -> bool:
    return any(rule.needs_roles for rule in (*route.allow, *route.deny))
