"""Certificates of clients: enabled by ``credentials.client_certificates``."""

import time

from gateway.authn.authenticator import CertificateVerifier
from gateway.authn.certificate import CertificateNames
from gateway.core.errors import RevokedCertificate
from gateway.core.identity import AuthMethod, Identity
from gateway.core.request import Certificate
from gateway.revocation.epoch import is_revoked
from gateway.runtime.services.credentials.kind import AuthnContext, CredentialKind


def certificate_verifier(context: AuthnContext) -> CertificateVerifier | None:
    """Build what maps the names in certificates to identities, unless a name was revoked."""
    settings = context.settings.credentials.client_certificates
    if settings is None:
        return None
    certificates = CertificateNames(settings.names, common_name=settings.common_name)
    revocations = context.identity.revocations

    async def verify(shown: Certificate) -> Identity | None:
        identity = certificates.identity(shown, time.time())
        if identity is not None:
            epoch_ms = await revocations.epoch_ms(identity.user.issuer)
            if is_revoked(identity.proven_at_ms, epoch_ms):
                raise RevokedCertificate
        return identity

    return verify


CERTIFICATES = CredentialKind(AuthMethod.CLIENT_CERTIFICATE, certificates=certificate_verifier)
