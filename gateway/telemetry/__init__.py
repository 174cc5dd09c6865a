"""What operators see: access log, counters, Prometheus metrics, the process's own log."""
