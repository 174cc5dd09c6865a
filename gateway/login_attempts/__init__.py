"""Attempts to sign in: the contact, and the one-time nonce."""
