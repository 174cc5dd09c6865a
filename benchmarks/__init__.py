"""Benchmarks: the cost of a request to the gateway and to a naive one, in one run."""
