"""Rewriting of header fields: which are dropped, and which are written."""
