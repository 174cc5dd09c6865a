"""Access log, metrics, and the log of the process."""
