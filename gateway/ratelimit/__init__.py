"""Rate limits: pure arithmetic, and counters in Redis or in this process."""
