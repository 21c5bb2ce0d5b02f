"""uint8 batches to augmented, normalized float batches."""
