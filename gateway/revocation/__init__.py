"""Revocation: the epoch before which an issuer's credentials are void."""
