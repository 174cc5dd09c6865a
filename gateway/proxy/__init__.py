"""The data plane: connections from clients, connections to apps, and exchanges between them."""
