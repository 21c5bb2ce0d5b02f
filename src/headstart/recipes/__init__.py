"""Recipes: what an experiment depends on, except the images."""
