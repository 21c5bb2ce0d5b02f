"""Studies: many trials and one table."""
