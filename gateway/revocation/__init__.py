"""Revocation: the epoch up to which an issuer's credentials are revoked."""
