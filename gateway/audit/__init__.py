"""The audit file: decisions about identities, one line each, chained by HMAC."""
