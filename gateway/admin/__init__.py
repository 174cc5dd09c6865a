"""The private listener."""
