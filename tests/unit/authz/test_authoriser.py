"""Roles of identities, and requests while roles are unknown."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from gateway.authz import authoriser as module
from gateway.authz.authoriser import Authoriser
from gateway.core import reasons
from gateway.core.errors import Forbidden, StoreUnavailable
from gateway.core.identity import AuthMethod, Standing
from gateway.core.route import Grant, Route, Rule
from gateway.routing.client_address import client_at
from tests.fakes.ports import ISSUER, SESSION_IDENTITY

STAFF = Grant("staff", Rule(emails=frozenset({"*@example.com"})))
OTHERS = Grant("others", Rule(emails=frozenset({"*@example.org"})))
OPEN = Route("open", "/*", "app")
PERMITTED = {
    "staff": frozenset({"billing:read"}),
    "jwt": frozenset({"users:list", "billing:read"}),
    "admin": frozenset({"billing:write"}),
    "others": frozenset({"nothing"}),
}
PAYERS = Route("payers", "/*", "app", allow=(Rule(permissions=frozenset({"billing:write"})),))
ADMINS = Route("admins", "/*", "app", allow=(Rule(roles=frozenset({"admin"})),))
UNBANNED = Route("unbanned", "/*", "app", deny=(Rule(roles=frozenset({"banned"})),))


class Roles:
    """A `RoleStore` with given roles, which records look-ups."""

    def __init__(self, *roles: str) -> None:
        self.said: tuple[str, ...] | None = roles
        self.asked: list[str] = []

    def prepare(self, issuer: str) -> None:
        raise NotImplementedError

    async def roles(self, issuer: str) -> tuple[str, ...]:
        self.asked.append(issuer)
        if self.said is None:
            raise StoreUnavailable(reasons.RolesReason.UNKNOWN)
        return self.said


async def test_roles_come_from_the_config_and_from_the_store() -> None:
    """Both are merged with those of the credential, sorted, each once."""
    roles = Roles("zoo", "admin", "staff")
    found = await Authoriser((STAFF, OTHERS), roles).with_roles(
        replace(SESSION_IDENTITY, roles=("jwt",)), OPEN
    )
    assert ("admin", "jwt", "staff", "zoo") == found.roles
    assert [ISSUER] == roles.asked


async def test_without_a_store_the_config_alone_grants_roles() -> None:
    """No look-up is made."""
    authorisation = Authoriser((STAFF,))
    assert ("staff",) == (await authorisation.with_roles(SESSION_IDENTITY, OPEN)).roles


@pytest.mark.parametrize(
    ("authorisation", "expected"),
    [
        (Authoriser(), False),
        (Authoriser((STAFF,)), True),
        (Authoriser((), Roles()), True),
        (Authoriser(permitted={"staff": frozenset({"billing:read"})}), True),
    ],
)
def test_gives_roles(authorisation: Authoriser, expected: bool) -> None:
    """It is false where no role can be granted, so that no request pays for it."""
    assert expected == authorisation.gives_roles


async def test_the_identity_object_stays_while_its_roles_do() -> None:
    """So caches by object find it again; other roles make another object."""
    roles = Roles("admin")
    authorisation = Authoriser((), roles)
    first = await authorisation.with_roles(SESSION_IDENTITY, OPEN)
    assert first is await authorisation.with_roles(SESSION_IDENTITY, OPEN)
    roles.said = ()
    assert () == (await authorisation.with_roles(SESSION_IDENTITY, OPEN)).roles


@pytest.mark.parametrize("route", [ADMINS, UNBANNED, PAYERS], ids=lambda route: str(route.name))
async def test_unknown_roles_close_a_route_that_requires_roles(route: Route) -> None:
    """They are neither "none", which would pass a deny, nor "all", which would pass an allow."""
    roles = Roles()
    roles.said = None
    with pytest.raises(StoreUnavailable):
        await Authoriser((STAFF,), roles).with_roles(SESSION_IDENTITY, route)


async def test_unknown_roles_pass_on_other_routes() -> None:
    """The app gets no roles then, rather than the known half of them."""
    roles = Roles()
    roles.said = None
    authorisation = Authoriser((STAFF,), roles)
    found = await authorisation.with_roles(SESSION_IDENTITY, OPEN)
    assert found.roles is None
    assert found is await authorisation.with_roles(SESSION_IDENTITY, OPEN)
    roles.said = ("admin",)
    again = await authorisation.with_roles(SESSION_IDENTITY, OPEN)
    assert ("admin", "staff") == again.roles


async def test_a_caller_has_what_any_of_its_roles_permits() -> None:
    """Wherever a role comes from; each word once, sorted."""
    authorisation = Authoriser((STAFF, OTHERS), Roles("admin"), PERMITTED)
    found = await authorisation.with_roles(replace(SESSION_IDENTITY, roles=("jwt",)), OPEN)
    assert ("billing:read", "billing:write", "users:list") == found.permissions


async def test_what_unknown_roles_permit_is_unknown() -> None:
    """An app gets none of it."""
    roles = Roles()
    roles.said = None
    found = await Authoriser((STAFF,), roles, PERMITTED).with_roles(SESSION_IDENTITY, OPEN)
    assert found.permissions is None


async def test_the_standing_of_a_user_is_what_each_of_its_credentials_gives() -> None:
    """A role for sessions alone is not written where apps read what the user may do."""
    by_session = Grant("admin", Rule(auth_methods=frozenset({AuthMethod.SESSION})))
    roles = Roles("beta")
    authorisation = Authoriser((STAFF, OTHERS, by_session), roles, PERMITTED)
    standing = await authorisation.standing(SESSION_IDENTITY.user)
    assert Standing(("beta", "staff"), ("billing:read",)) == standing
    roles.said = None
    assert Standing(None, None) == await authorisation.standing(SESSION_IDENTITY.user)
    assert Standing() == await Authoriser().standing(SESSION_IDENTITY.user)


async def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many identities there are, memory does not grow."""
    monkeypatch.setattr(module, "_MAX_CACHED", 2)
    authorisation = Authoriser((STAFF,))
    for number in range(5):
        await authorisation.with_roles(replace(SESSION_IDENTITY, token_id=str(number)), OPEN)
    assert 2 == len(authorisation._known)


def test_rules_are_enforced() -> None:
    """The decision is that of `gateway.authz.rules`."""
    with pytest.raises(Forbidden):
        Authoriser().enforce(ADMINS, SESSION_IDENTITY, client_at(ip_address("10.0.0.1")), "GET")
