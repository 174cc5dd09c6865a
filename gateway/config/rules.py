"""What a config says about who may do what: ``allow``, ``deny`` and ``identity.roles``."""

from typing import Annotated, Any, Self

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema, core_schema

from gateway.config.credentials import AuthMethodName
from gateway.config.matchers import (
    ClientNetwork,
    Domain,
    Email,
    IssuerText,
    PublicAddress,
    Role,
    Scope,
    WalletText,
)
from gateway.config.names import MethodName
from gateway.config.section import GIVEN, SOME, Section


class CallerMatchSettings(Section):
    """What can be asked of a caller; all keys that are there must hold, each for any value."""

    issuers: Annotated[Annotated[frozenset[IssuerText], SOME] | None, GIVEN] = None
    """Issuers, such as did:ethr:0x…; without case, a mixed one must be the checksum."""
    emails: Annotated[Annotated[frozenset[Email], SOME] | None, GIVEN] = None
    """Email addresses, or *@ and a domain; without case."""
    domains: Annotated[Annotated[frozenset[Domain], SOME] | None, GIVEN] = None
    """Domains of email addresses; *.example.com is all below example.com."""
    addresses: Annotated[Annotated[frozenset[PublicAddress], SOME] | None, GIVEN] = None
    """Public addresses that Magic knows."""
    wallets: Annotated[Annotated[frozenset[WalletText], SOME] | None, GIVEN] = None
    """Addresses whose key has signed the proof: those in did:ethr:0x…"""
    scopes: Annotated[Annotated[frozenset[Scope], SOME] | None, GIVEN] = None
    """What the credential of a program is good for; any of them."""
    auth_methods: Annotated[Annotated[frozenset[AuthMethodName], SOME] | None, GIVEN] = None
    """Kinds of credentials: session, did-token, api-key, jwt, client-certificate."""

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        if not any(getattr(self, name) for name in type(self).model_fields if name != "role"):
            raise ValueError("expected at least one condition")
        return self


class RuleSettings(CallerMatchSettings):
    """One rule; all keys that are there must hold, each for any of its values."""

    roles: Annotated[Annotated[frozenset[Role], SOME] | None, GIVEN] = None
    """Roles; any of them."""
    networks: Annotated[Annotated[tuple[ClientNetwork, ...], SOME] | None, GIVEN] = None
    """Networks that the client's address lies in."""
    methods: Annotated[Annotated[frozenset[MethodName], SOME] | None, GIVEN] = None
    """Methods of the request; GET is HEAD too."""


class RoleSettings(CallerMatchSettings):
    """A role, and who has it."""

    role: Role
    """Its name."""


class _OneOrMore:
    """Of a list: one entry may stand there alone."""

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
"""One rule, or several of which any may hold."""
