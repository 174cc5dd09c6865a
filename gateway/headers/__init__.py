"""Header fields on their way through: what is dropped, and what is written."""
