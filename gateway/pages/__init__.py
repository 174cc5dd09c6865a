"""The gateway's own pages: one more app behind the gateway."""
