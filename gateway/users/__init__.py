"""Users of Magic: their metadata, from Magic's admin API, cached in the store."""
