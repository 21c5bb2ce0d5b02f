"""Runs and studies watched in a browser while they are trained, on this machine alone."""
