"""Fingerprints: what stands for a credential where it must not be shown."""

from hashlib import sha256

SHORT = "short"
"""In place of the fingerprint of a text that is too short for a credential."""
_DIGITS = 8
"""Enough to tell two credentials apart."""
_MIN_CHARS = 24
"""What has fewer is no credential of the gateway, and may be a password: it can be guessed."""


def fingerprint(text: str) -> str:
    """
    Return what stands for ``text``: the same for the same text, and no way back to it.

    A guess of ``text`` can be confirmed by it, so `SHORT` stands for what may be guessed.
    """
    if len(text) < _MIN_CHARS:
        return SHORT
    digest = sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
    return f"sha256:{digest[:_DIGITS]}"
