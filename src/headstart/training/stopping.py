"""Stop a training that more steps would not help: a loss that is not finite, outputs that are all equal."""

from __future__ import annotations

import torch
from torch import Tensor

from headstart.errors import HeadstartError, quoted
from headstart.metrics.collapse import diagnose
from headstart.training.state import TrainState


def check_finite(loss: Tensor, training: TrainState) -> None:
    """Raise HeadstartError if the loss of a step is nan or infinite."""
    if not torch.isfinite(loss):
        lr = training.recipe.optimizer.lr
        raise HeadstartError(
            f"{training.run.path}: expected a finite loss, found {float(loss.detach())} in epoch"
            f" {training.progress.epoch + 1}, step {training.progress.step}",
            f"headstart fit {training.recipe.name} {quoted(training.run.data['root'])} optimizer.lr={lr / 10:g}",
        )


def stop_on_collapse(training: TrainState) -> None:
    """Raise HeadstartError if the network's outputs for all images are equal."""
    health = diagnose(training.progress.rows)
    if health is not None and health.kind == "collapsed":
        found = health.sentence.removesuffix(".")
        raise HeadstartError(f"{training.run.path}: expected outputs that differ. {found}", health.fix)
