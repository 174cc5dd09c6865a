"""Gateway: an async reverse proxy that lets in only people whom Magic Link has proven."""

__version__ = "0.1.0"
