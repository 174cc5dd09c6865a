"""Settings: the schema is the reference, loading reports all faults at once."""
