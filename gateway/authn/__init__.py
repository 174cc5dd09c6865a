"""Authentication: finds the credentials of a request, and verifies them."""
