"""Which route a request takes: client address, canonical target, route table."""
