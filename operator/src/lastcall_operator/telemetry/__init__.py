"""Metrics and traces of the two processes."""
