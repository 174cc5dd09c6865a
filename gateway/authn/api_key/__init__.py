"""API keys: their form, their records in the store, their verifier."""
