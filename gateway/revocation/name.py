"""Names under which credentials can be revoked, and what operators do about the others."""

from collections.abc import Callable, Collection
from typing import NamedTuple

from gateway.core.issuer import CERTIFICATE, SERVICE, CallerName, read_name

_API_KEY = "api-key:"
_DID = "did:"


class RevocationRefused(ValueError):
    """A name that cannot be revoked. The message says what to do instead."""

    code = "bad_request"


class NotRevocable(RevocationRefused):
    """A well-formed name under which no credential can be revoked."""

    code = "not_revocable"


class UnknownEmail(RevocationRefused):
    """An email address of no user."""

    code = "unknown_email"


_REFUSALS: dict[str, type[RevocationRefused]] = {
    kind.code: kind for kind in (RevocationRefused, NotRevocable, UnknownEmail)
}


def refusal_of(code: str, message: str) -> RevocationRefused:
    """Make a refusal again of its code and message, which came from another process."""
    return _REFUSALS[code](message)


class AcceptedNames(NamedTuple):
    """Names of programs and JWTs that one config accepts: only these can be revoked."""

    jwt_issuers: Collection[str]
    """The part before ``#`` in the names of their subjects."""
    has_certificate: Callable[[str], bool]
    """Whether the name of a certificate, without ``cert:``, identifies a caller."""


def revocable(text: str, accepted: AcceptedNames) -> CallerName:
    """
    Read an issuer or an email address whose credentials an epoch revokes.

    All other names are refused: a revocation would report success without effect. Raises
    `RevocationRefused`.
    """
    if text.startswith(_API_KEY):
        raise NotRevocable("revoke an API key by its id: gateway api-keys revoke ID")
    try:
        name = read_name(text)
    except ValueError as error:
        raise RevocationRefused(str(error)) from None
    if not name.is_email and not name.text.startswith(_DID):
        _refuse_unaccepted(name.text, accepted)
    return name


def _refuse_unaccepted(issuer: str, accepted: AcceptedNames) -> None:
    if issuer.startswith(SERVICE):
        owner = issuer.removeprefix(SERVICE)
        raise NotRevocable(f"a service has API keys: gateway api-keys revoke --owner {owner}")
    if issuer.startswith(CERTIFICATE):
        if not accepted.has_certificate(issuer.removeprefix(CERTIFICATE)):
            raise NotRevocable(
                "no pattern in credentials.client_certificates.names matches this name: its"
                " certificates are not accepted"
            )
    elif issuer.partition("#")[0] not in accepted.jwt_issuers:
        raise NotRevocable("credentials.jwt lists no such issuer: its tokens are not accepted")
