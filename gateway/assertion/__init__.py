"""Signed identity assertions (JWTs) for apps that verify them."""
