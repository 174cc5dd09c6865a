"""Explanations: why a request is admitted or refused, found by the stages that decide it."""
