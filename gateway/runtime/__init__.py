"""The running process: start, serve, reload, workers."""
