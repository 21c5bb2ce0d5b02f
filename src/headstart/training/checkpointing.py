"""When what a training has come to is written down: after every epoch, and within long ones.

A head on stored features goes through an epoch in less time than it takes to write it down. Such epochs are held in
memory, and written down together every few seconds: a kill loses no more, and the epochs after are trained again to
the same weights.
"""

from __future__ import annotations

import shutil
import time

from torch import Tensor

from headstart.models.run_weights import save_weights
from headstart.tasks import ModelOutput
from headstart.training.provenance import prediction_table, save_confusion
from headstart.training.setup import TrainState

WRITE_INTERVAL = 5.0
"""Between two writings where epochs are shorter."""


class Checkpointer:
    """What finished epochs have left to write down. Each rank has one; the first of them writes."""

    def __init__(self, training: TrainState) -> None:
        self._training = training
        self._best: tuple[dict[str, Tensor], ModelOutput] | None = None
        self._last: dict[str, Tensor] | None = None
        self._rows = len(training.progress.rows)
        self._written = time.monotonic()

    def stage(self, kept: bool, seen: ModelOutput) -> None:
        """An epoch is finished; whether its weights are the best so far, and what they see in validation images."""
        self._last = self._weights()
        if kept:
            self._best = self._last, seen

    def _weights(self) -> dict[str, Tensor]:
        weights, held = self._training.task.weights(), self._training.feature_cache is not None
        return {
            name: tensor.clone() if held and not name.startswith("backbone.") else tensor  # which is frozen
            for name, tensor in weights.items()
        }

    @property
    def epoch_save_due(self) -> bool:
        """Whether a finished epoch is to be written down now."""
        return self._training.feature_cache is None or self._waited(WRITE_INTERVAL)

    @property
    def step_save_due(self) -> bool:
        """Whether the last writing was so long ago that one is due within an epoch."""
        return self._waited(60 * self._training.recipe.checkpoint.every_minutes)

    def _waited(self, seconds: float) -> bool:
        return time.monotonic() - self._written > min(seconds, 60 * self._training.recipe.checkpoint.every_minutes)

    def write_weights(self) -> None:
        """The weights of the epochs that are held, and what the best of them say."""
        training = self._training
        if training.fabric.is_global_zero:
            if self._best is not None:
                weights, seen = self._best
                save_weights(training.run, "best", weights)
                if seen.confusion is not None:
                    save_confusion(training.run, seen.confusion)
                if training.task.classes:
                    training.run.write_table(
                        "predictions.csv", prediction_table(training.pixels.index, "val", seen.probabilities)
                    )
            if self._last is not None:
                save_weights(training.run, "last", self._last)
        self._best = self._last = None

    def write_progress(self) -> None:
        """`metrics.csv`, which comes after the weights that it speaks of, and where to go on."""
        training, run, rows = self._training, self._training.run, self._training.progress.rows
        done = training.progress.epoch == training.recipe.train.epochs
        if training.fabric.is_global_zero and len(rows) > self._rows:
            run.write_table("metrics.csv", rows)
            if done:
                shutil.rmtree(run.checkpoint.parent, ignore_errors=True)
        if not done:
            training.save()
        self._rows = len(rows)
        self._written = time.monotonic()

    def write(self) -> None:
        """All that is held, and where the training stands."""
        self.write_weights()
        self.write_progress()
