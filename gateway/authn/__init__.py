"""Authentication: which credentials a request carries, and whose they are."""
