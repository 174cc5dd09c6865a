"""DID tokens, which Magic's SDK makes: always enabled."""

from gateway.authn.credentials import any_shape
from gateway.authn.did_token.inspect import inspect_did_token
from gateway.authn.did_token.verifier import DidTokenVerifier
from gateway.core.identity import AuthMethod
from gateway.runtime.services.credentials.kind import AuthnContext, CredentialKind


def did_token_verifier(context: AuthnContext) -> DidTokenVerifier:
    """Return the verifier that the pages for signing in use too."""
    return context.identity.tokens


DID_TOKENS = CredentialKind(
    AuthMethod.DID_TOKEN,
    has_shape=any_shape,
    verifier=did_token_verifier,
    inspect=inspect_did_token,
)
