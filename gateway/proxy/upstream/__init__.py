"""Connections to apps: balancing, pooling, health, retries."""
