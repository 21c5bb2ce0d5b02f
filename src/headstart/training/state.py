"""Training state: what the loop works on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from lightning_fabric import Fabric
from torch import Tensor

from headstart.data.pixels import Pixels
from headstart.data.sampling import Rows, epoch_permutation, seed_of, steps_in_epoch
from headstart.recipes.recipe import Recipe
from headstart.runs.folder import RunFolder
from headstart.runs.lifecycle import finish
from headstart.tasks import Task
from headstart.training.checkpoint import Progress, save_checkpoint
from headstart.training.feature_cache import FeatureCache
from headstart.training.ranks import agree, gather_states, restore_states

if TYPE_CHECKING:  # recorders work on a TrainState
    from headstart.training.recorders import Recorder


class Stopped(Exception):  # noqa: N818 (as StopIteration: it is no error)
    """A requested stop, on all ranks at the same place of the training."""


@dataclass
class TrainState:
    """Training state of one run: recipe, images, network, optimizer and progress."""

    recipe: Recipe
    run: RunFolder
    pixels: Pixels
    labels: Tensor
    """int64 (N,): of every image of `pixels`; -1 without a label."""
    fabric: Fabric
    task: Task
    network: Any
    """`task` as wrapped by Fabric; its forward is the loss."""
    optimizer: Any
    train_rows: Rows
    """Rows of the training images: those of the label fraction."""
    recorders: tuple[Recorder, ...]
    """What is written beside metrics and weights."""
    progress: Progress = field(default_factory=Progress)
    excluded: int | None = None
    """Training images dropped as (near-)duplicates of held-out ones of `data.exclude_overlap_with`; None without it."""
    feature_cache: FeatureCache | None = None
    """Cached outputs of a frozen backbone; None if it is run in every step."""
    maps_follow: bool = False
    """Whether maps and report follow the training: the run is finished by who makes them, when they are there."""
    notes: list[str] = field(default_factory=list)
    """What the user should know before the first step."""
    stop_requested: Callable[[], bool] = lambda: False
    """Whether this process was asked to stop (Ctrl-C); all ranks then stop at the same step."""

    @property
    def train_sample_rows(self) -> Rows:
        """Rows of the training images whose features are stored, besides all validation images: fixed by the seed."""
        order = epoch_permutation(seed_of("sample", self.recipe.seed), 0, len(self.train_rows))
        return self.train_rows[np.sort(order[: self.recipe.analysis.train_samples])]

    @property
    def steps(self) -> int:
        """Steps per epoch."""
        return steps_in_epoch(self.images_per_epoch, self.recipe.train.batch_size, self.fabric.world_size)

    @property
    def images_per_epoch(self) -> int:
        """Images per epoch; with `train.fixed_steps` as many as with all labels, images then repeat in an epoch."""
        recipe = self.recipe
        if recipe.probe.method == "logistic":  # solved on all images
            return len(self.train_rows)
        count = len(self.pixels.index.positions("train")) if recipe.train.fixed_steps else len(self.train_rows)
        return min(count, recipe.train.images_per_epoch or count)

    def epoch_rows(self, epoch: int) -> Rows:
        """Rows of the training images of an epoch, in training order."""
        recipe, count = self.recipe, len(self.train_rows)
        return self.train_rows[epoch_permutation(recipe.seed, epoch, count, self.images_per_epoch)]

    def stop_if_requested(self) -> None:
        """Raise `Stopped` if any rank was asked to stop. Called by all ranks together."""
        (stop,) = agree(self.fabric, self.stop_requested())
        if stop:
            raise Stopped

    def save(self, *, together: bool = False) -> None:
        """Write the checkpoint to resume from.

        ``together``: all ranks call this, within an epoch; it then holds the training metrics of each of them.
        """
        state = {"task": self.task.state_dict(), "optimizer": self.optimizer.state_dict()}
        if together and self.fabric.world_size > 1:
            state["metrics_of_ranks"] = gather_states(self.fabric, self.task.training_metrics)
        if self.fabric.is_global_zero:
            save_checkpoint(self.run, self.progress, state)

    def load(self, progress: Progress, state: Mapping[str, Any]) -> None:
        """Restore what `save` wrote. A training metric that it did not know yet, an older headstart's, starts anew."""
        self.progress = progress
        metrics = {name: each for name, each in self.task.state_dict().items() if name.startswith("training_metrics.")}
        self.task.load_state_dict({**metrics, **state["task"]})
        self.task.to(self.fabric.device)  # a metric takes the tensors of the checkpoint, which are in main memory
        self.optimizer.load_state_dict(state["optimizer"])
        if parts := state.get("metrics_of_ranks"):
            restore_states(self.fabric, self.task.training_metrics, parts)
        elif not self.fabric.is_global_zero:  # the first rank counts for all
            self.task.training_metrics.reset()

    def finish(self) -> None:
        """Mark the trained run as finished, unless its maps and report are still to come."""
        if self.fabric.is_global_zero and not self.maps_follow:
            finish(self.run.path)
