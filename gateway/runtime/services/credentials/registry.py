"""
The credential kinds of the gateway: one line each.

To add a kind: write its file in this folder and its verifier in `gateway.authn`, add a line here
before ``DID_TOKENS``, and its section to `gateway.config.credentials.CredentialSettings`.
"""

from gateway.authn.inspect import Inspector
from gateway.core.identity import AuthMethod
from gateway.core.issuer import is_user
from gateway.runtime.services.credentials.api_key import API_KEYS
from gateway.runtime.services.credentials.certificate import CERTIFICATES
from gateway.runtime.services.credentials.did_token import DID_TOKENS
from gateway.runtime.services.credentials.jwt import JWTS
from gateway.runtime.services.credentials.kind import CredentialKind

CREDENTIAL_KINDS: tuple[CredentialKind, ...] = (
    API_KEYS,
    JWTS,
    DID_TOKENS,  # takes each token that no kind above has taken
    CredentialKind(AuthMethod.SESSION, belongs_to=is_user),
    CERTIFICATES,
)


def inspectors() -> tuple[Inspector, ...]:
    """Return how each kind of token is recognised and reported on."""
    return tuple(
        Inspector(kind.has_shape, kind.inspect)
        for kind in CREDENTIAL_KINDS
        if kind.has_shape is not None and kind.inspect is not None
    )
