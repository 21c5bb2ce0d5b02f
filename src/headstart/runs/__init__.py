"""The run folder: a module per artifact, writer beside reader. No torch."""
