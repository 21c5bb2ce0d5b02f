"""Masks: files to class indices, and palettes."""
