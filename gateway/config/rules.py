"""Rules about callers and requests: ``allow``, ``deny`` and ``identity.roles``."""

from typing import Annotated, Any, Self

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema, core_schema

from gateway.config.credentials import AuthMethodName
from gateway.config.matchers import (
    ClientNetwork,
    Domain,
    Email,
    IssuerText,
    Permission,
    PublicAddress,
    Role,
    Scope,
    WalletText,
)
from gateway.config.names import MethodName
from gateway.config.section import GIVEN, SOME, Section


class CallerMatchSettings(Section):
    """Conditions on a caller. All keys must match, each by any of its values."""

    issuers: Annotated[Annotated[frozenset[IssuerText], SOME] | None, GIVEN] = None
    """
    Issuers, such as did:ethr:0x…. The case of such an address does not matter, but mixed case must
    be its checksum (EIP-55).
    """
    emails: Annotated[Annotated[frozenset[Email], SOME] | None, GIVEN] = None
    """Email addresses, or *@example.com for all of a domain. Case does not matter."""
    domains: Annotated[Annotated[frozenset[Domain], SOME] | None, GIVEN] = None
    """Domains of email addresses. *.example.com matches the subdomains, without example.com."""
    addresses: Annotated[Annotated[frozenset[PublicAddress], SOME] | None, GIVEN] = None
    """Public addresses of callers, as Magic reports them."""
    wallets: Annotated[Annotated[frozenset[WalletText], SOME] | None, GIVEN] = None
    """Addresses of the keys that signed the caller's DID token: the 0x… in did:ethr:0x…."""
    scopes: Annotated[Annotated[frozenset[Scope], SOME] | None, GIVEN] = None
    """Scopes of the credential. Only API keys and JWTs have any."""
    auth_methods: Annotated[Annotated[frozenset[AuthMethodName], SOME] | None, GIVEN] = None
    """Kinds of credentials: session, did-token, api-key, jwt, client-certificate."""

    @model_validator(mode="after")
    def _has_a_condition(self) -> Self:
        if not any(getattr(self, name) for name in type(self).model_fields if name != "role"):
            raise ValueError("expected at least one condition")
        return self


class RuleSettings(CallerMatchSettings):
    """A rule. All keys must match, each by any of its values."""

    roles: Annotated[Annotated[frozenset[Role], SOME] | None, GIVEN] = None
    """Roles of the caller."""
    permissions: Annotated[Annotated[frozenset[Permission], SOME] | None, GIVEN] = None
    """What the caller's roles permit; see `identity.permissions`."""
    networks: Annotated[Annotated[tuple[ClientNetwork, ...], SOME] | None, GIVEN] = None
    """Networks of the client's address, in CIDR notation; unix: stands for unix sockets."""
    methods: Annotated[Annotated[frozenset[MethodName], SOME] | None, GIVEN] = None
    """Methods of the request. GET includes HEAD."""


class RoleSettings(CallerMatchSettings):
    """A role, and the conditions for callers to have it. All must match, each by any value."""

    role: Role
    """Name of the role. Several entries may give the same role."""


class _OneOrMore:
    """Marks a list that may be written as a single entry."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_before_validator_function(
            lambda value: [value] if isinstance(value, dict) else value, handler(source)
        )

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        several = handler(core)
        return {"anyOf": [several, several["items"]]}


RuleList = Annotated[tuple[RuleSettings, ...], SOME, _OneOrMore()]
"""One rule, or a list of rules of which one must match."""
