"""Upgraded connections: bytes in both directions until one side ends them."""
