"""The composition: the only place that builds adapters from settings."""
