"""What a credential kind is: how it is read from a request, verified, and inspected."""

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import NamedTuple

from gateway.authn.authenticator import CertificateVerifier
from gateway.authn.credentials import AmbientSource
from gateway.authn.inspect import InspectionContext, Report
from gateway.config.schema import Settings
from gateway.core.identity import AuthMethod
from gateway.core.ports import Limiter, TokenVerifier
from gateway.core.reasons import CredentialReason
from gateway.runtime.process import ProcessServices
from gateway.runtime.services.identity import IdentityServices


class AuthnContext(NamedTuple):
    """What verifiers are built from."""

    settings: Settings
    process: ProcessServices
    identity: IdentityServices
    limiter: Limiter
    stack: AsyncExitStack
    """Closes and unsubscribes what a verifier opens."""


def _no_header(_settings: Settings) -> str:
    return ""


def _no_sources(_settings: Settings) -> tuple[AmbientSource, ...]:
    return ()


def _no_ambient(_context: AuthnContext) -> Mapping[AmbientSource, TokenVerifier]:
    return {}


def _no_verifier(_context: AuthnContext) -> None:
    return None


class CredentialKind(NamedTuple):
    """
    A line of `gateway.runtime.services.credentials.registry`.

    A kind is a token (``has_shape``, ``verifier``) or a certificate (``certificates``). The session
    cookie is neither: the authenticator asks `Sessions` for it.
    """

    method: AuthMethod
    has_shape: Callable[[str], bool] | None = None
    """Whether a bearer token is of this kind; kinds are asked in the order of the table."""
    header: Callable[[Settings], str] = _no_header
    """A field that may hold one, beside ``Authorization``; empty for none."""
    several: CredentialReason = CredentialReason.SEVERAL_AUTHORIZATIONS
    """Why a request with two of them is refused."""
    verifier: Callable[[AuthnContext], TokenVerifier | None] = _no_verifier
    """Build what verifies its tokens; None where the config does not enable the kind."""
    sources: Callable[[Settings], tuple[AmbientSource, ...]] = _no_sources
    """Cookies and fields in which browsers send one by themselves."""
    ambient: Callable[[AuthnContext], Mapping[AmbientSource, TokenVerifier]] = _no_ambient
    """Build what verifies the tokens of each of ``sources``: CSRF checks apply to them."""
    certificates: Callable[[AuthnContext], CertificateVerifier | None] = _no_verifier
    """Build what maps certificates of connections to identities; None where not enabled."""
    inspect: Callable[[str, InspectionContext], Report] | None = None
    """Report on one, for ``gateway token inspect``; each kind of token has it."""
    belongs_to: Callable[[str], bool] | None = None
    """Whether an issuer has credentials of this kind, for ``gateway explain --as``."""
