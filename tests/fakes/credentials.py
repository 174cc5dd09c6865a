"""Readers of all kinds of credentials, as a config that enables all of them has it."""

from gateway.authn.credentials import BearerKind, CredentialHeader
from gateway.core.identity import AuthMethod
from gateway.core.reasons import CredentialReason
from gateway.runtime.services.credentials.registry import CREDENTIAL_KINDS

BEARERS = [BearerKind(kind.method, kind.has_shape) for kind in CREDENTIAL_KINDS if kind.has_shape]
API_KEY_HEADER = CredentialHeader(
    "X-API-Key", AuthMethod.API_KEY, CredentialReason.SEVERAL_API_KEYS
)
