"""Dataset checks: broken files, duplicates, contamination, class balance."""
