"""Trainings that are stopped, as Ctrl-C stops them, and resumed."""

from __future__ import annotations

from pathlib import Path

from headstart.recipes.recipe import Recipe
from headstart.training.loop import train
from headstart.training.setup import resume, start
from headstart.training.state import TrainState


def stopped_after(events: int, run: Path, data: Path, recipe: Recipe) -> None:
    """Train, and close the loop after some of its events: steps and epochs; after none it only starts."""
    loop = train(start(recipe, str(data), run))
    for _ in range(events):
        next(loop)
    loop.close()


def stopped_and_resumed(events: int, run: Path, data: Path, recipe: Recipe) -> TrainState:
    """Train to the end, stopped once after some of the loop's events."""
    stopped_after(events, run, data, recipe)
    training = resume(run)
    for _ in train(training):
        pass
    return training
