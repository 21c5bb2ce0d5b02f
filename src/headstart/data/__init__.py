"""From a folder of files to batches: index, check, pixels, views, order."""
