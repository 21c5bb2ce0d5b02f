"""Comparison of a study's settings, with confidence intervals."""
