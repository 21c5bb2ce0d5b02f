"""Training: set-up, loop, validation, checkpoints."""
