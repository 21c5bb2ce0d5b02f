"""Checkpointing: after every epoch, and every few minutes within long ones.

An epoch of a head on cached features takes less time than writing its results. Such epochs are staged in memory and
written together every few seconds: a kill loses no more than these, and resuming trains them again to the same weights.
"""

from __future__ import annotations

import time

from torch import Tensor

from headstart.models.run_weights import save_weights
from headstart.runs.confusion import write_mask_confusions
from headstart.runs.lock import require_owned
from headstart.runs.predictions import write_predictions
from headstart.tasks import ModelOutput
from headstart.training.state import TrainState

WRITE_INTERVAL = 5.0
"""Seconds between two writes of epochs that are shorter."""


class Checkpointer:
    """Stages finished epochs and writes them. Every rank has one; the first rank writes."""

    def __init__(self, training: TrainState) -> None:
        self._training = training
        self._best: tuple[dict[str, Tensor], ModelOutput] | None = None
        self._last: dict[str, Tensor] | None = None
        self._rows = len(training.progress.rows)
        self._written = time.monotonic()

    def stage(self, is_best: bool, validation: ModelOutput | None) -> None:
        """Hold a finished epoch's weights; those of the best epoch so far with its ``validation`` outputs."""
        self._last = self._weights()
        if is_best and validation is not None:
            self._best = self._last, validation

    def _weights(self) -> dict[str, Tensor]:
        """The weights; copied if later epochs may come before they are written, except a frozen backbone's."""
        weights, copied = self._training.task.weights(), self._training.feature_cache is not None
        return {
            name: tensor.clone() if copied and not name.startswith("backbone.") else tensor
            for name, tensor in weights.items()
        }

    @property
    def epoch_save_due(self) -> bool:
        """Whether a finished epoch is to be written now."""
        return self._training.feature_cache is None or self._waited(WRITE_INTERVAL)

    @property
    def step_save_due(self) -> bool:
        """Whether `checkpoint.every_minutes` have passed since the last write, within an epoch."""
        return self._waited(60 * self._training.recipe.checkpoint.every_minutes)

    def _waited(self, seconds: float) -> bool:
        return time.monotonic() - self._written > min(seconds, 60 * self._training.recipe.checkpoint.every_minutes)

    def write_weights(self) -> None:
        """Write the staged weights, and the best epoch's predictions for the validation images."""
        training = self._training
        if training.fabric.is_global_zero:
            if self._best is not None:
                weights, validation = self._best
                save_weights(training.run, "best", weights)
                self._write_outputs(validation)
            if self._last is not None:
                save_weights(training.run, "last", self._last)
        self._best = self._last = None

    def _write_outputs(self, validation: ModelOutput) -> None:
        run, index, task = self._training.run, self._training.pixels.index, self._training.task
        if validation.confusion is not None:
            write_mask_confusions(run, validation.confusion.numpy())
        if task.classes:
            rows = index.positions("val")
            write_predictions(
                run,
                [index.paths[row] for row in rows],
                [index.labels[row] for row in rows],
                index.classes,
                validation.probabilities.numpy(),
            )

    def write_progress(self, *, together: bool = False) -> None:
        """Write `metrics.csv`, after the weights that it describes, and the checkpoint (see `TrainState.save`)."""
        training, run, rows = self._training, self._training.run, self._training.progress.rows
        done = training.progress.epoch == training.recipe.train.epochs
        if training.fabric.is_global_zero and len(rows) > self._rows:
            require_owned(run.path)
            run.write_table("metrics.csv", rows)
            if done:
                training.finish()
        if not done:
            training.save(together=together)
        self._rows = len(rows)
        self._written = time.monotonic()

    def write(self, *, together: bool = False) -> None:
        """Write all that is staged, and the checkpoint (see `TrainState.save`)."""
        self.write_weights()
        self.write_progress(together=together)
