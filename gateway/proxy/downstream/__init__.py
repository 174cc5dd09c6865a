"""Connections from clients: listening, accepting, reading, writing."""
