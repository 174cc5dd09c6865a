"""The data plane: connections from clients, connections to apps, and what flows between."""
