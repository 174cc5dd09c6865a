"""Attempts to sign in: the contact that is named, and the one-time nonce."""
