"""The Redis-compatible store: connections, batches, pub/sub, and the embedded server."""
