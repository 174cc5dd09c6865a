"""Users of Magic: their metadata, cached in the store, asked from Magic's admin API."""
