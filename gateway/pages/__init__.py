"""The gateway's own pages, served as one more upstream; start at `gateway.pages.registry`."""
