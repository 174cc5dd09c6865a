"""Fingerprints of credentials."""

from gateway.explain.fingerprint import SHORT, fingerprint


def test_a_fingerprint_is_the_start_of_the_digest() -> None:
    """The same for the same text, and short."""
    assert "sha256:0524719b" == fingerprint("secret" * 4)
    assert fingerprint("secret" * 4) != fingerprint("secret" * 5)


def test_a_short_text_has_none() -> None:
    """It may be a password, sent by mistake; a guess of it could be confirmed."""
    assert {SHORT} == {fingerprint(text) for text in ("", "hunter2", "x" * 23)}


def test_text_that_is_no_unicode_has_a_fingerprint_too() -> None:
    """Field values may hold any byte."""
    assert fingerprint("caf\udce9" * 6).startswith("sha256:")
