"""Metrics: arrays in, numbers out. No torch."""
