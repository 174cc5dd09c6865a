"""Attempts to sign in: counted for each address and each email, and proven to have been made."""
