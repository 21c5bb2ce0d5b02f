"""A run behind HTTP: predictions for uploaded images, on one machine (extra `serve`)."""
