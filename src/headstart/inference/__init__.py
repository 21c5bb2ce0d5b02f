"""Prediction and evaluation with a finished run."""
