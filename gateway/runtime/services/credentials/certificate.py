"""Certificates of clients: enabled by ``credentials.client_certificates``."""

import time

from gateway.authn.authenticator import CertificateVerifier
from gateway.authn.certificate import CertificateNames
from gateway.core.identity import AuthMethod
from gateway.runtime.services.credentials.kind import AuthnContext, CredentialKind


def certificate_verifier(context: AuthnContext) -> CertificateVerifier | None:
    """Build what maps the names in certificates to identities."""
    settings = context.settings.credentials.client_certificates
    if settings is None:
        return None
    certificates = CertificateNames(settings.names, common_name=settings.common_name)
    return lambda shown: certificates.identity(shown, time.time())


CERTIFICATES = CredentialKind(AuthMethod.CLIENT_CERTIFICATE, certificates=certificate_verifier)
