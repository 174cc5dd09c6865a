"""How much a caller may use: the policy is pure, the counting is in Redis or in this process."""
