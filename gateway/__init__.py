"""Gateway: an async reverse proxy that lets in only authenticated users of Magic Link."""

__version__ = "0.1.0"
