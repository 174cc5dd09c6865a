"""The Redis-compatible store: connections, batches, pub/sub, the embedded server."""
