"""Warnings about the training data, before the first step."""

from __future__ import annotations

from collections.abc import Iterator

from headstart.data.requirements import classes_missing_from_train
from headstart.environment import cache_folder
from headstart.errors import quoted
from headstart.training.state import TrainState


def data_warnings(state: TrainState) -> Iterator[str]:
    """What the user should know about the data, and about how the run goes on, before the first step."""
    yield from state.notes
    if state.pixels.streaming:
        yield (
            f"{cache_folder()} has no room for decoded images, or may not be written: they are decoded again for every"
            " batch, which is slower. HEADSTART_CACHE=FOLDER names another place."
        )
    if state.excluded is not None:
        total, held_out = state.excluded + len(state.train_rows), state.recipe.data.exclude_overlap_with
        yield (
            f"{state.excluded:,} of {total:,} training images dropped as (near-)duplicates of held-out images of"
            f" {held_out}."
        )
    seen = state.run.data.get("val_seen_by_weights", 0)
    if seen:
        images = len(state.pixels.index.positions("val"))
        yield (
            f"{seen:,} of {images:,} validation images are among those that the weights {state.recipe.backbone.weights}"
            " were trained on: the score will be too high."
        )
    missing = [f'"{name}"' for name in classes_missing_from_train(state.pixels, state.train_rows)]
    if missing:
        subject = f"Class {missing[0]} is" if len(missing) == 1 else f"Classes {', '.join(missing)} are"
        yield (
            f"{subject} in validation but not in training: {'its' if len(missing) == 1 else 'their'} IoU will be 0."
            f" Next: headstart check {quoted(state.pixels.index.root)}"
        )
