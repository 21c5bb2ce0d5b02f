"""Analysis of one run: features, calibration, findings."""
