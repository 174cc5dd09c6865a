"""Credential kinds: `registry` lists them, `kind` says what one is, a file builds each."""
