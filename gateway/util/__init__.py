"""Small general tools that do not depend on the gateway."""
