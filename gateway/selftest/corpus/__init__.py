"""The attacks that are replayed: tables of bytes, tokens, paths and addresses."""
