"""Rate limits: the arithmetic is pure; counting is in Redis or in this process."""
