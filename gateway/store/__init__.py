"""What talks to Redis."""
