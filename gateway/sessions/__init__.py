"""Sessions: the record, its cookie, its seal, its place in the store."""
