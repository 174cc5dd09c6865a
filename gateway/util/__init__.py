"""Small general tools that know nothing of the gateway."""
