"""Inference with a trained run: predict, evaluate, segment."""
