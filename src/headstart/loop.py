"""The one training loop, for every task.

What comes when is a function of (seed, epoch, step, rank), so a run that is stopped anywhere and resumed ends at
the same weights, bit for bit on the CPU. `train` is a generator: whoever draws progress bars or reports takes its
events, and may close it at any of them; it then saves where it stands.
"""

from __future__ import annotations

import shutil
import time
import warnings
from collections.abc import Callable, Generator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torchmetrics import MetricCollection

from headstart.checkpoint import read_weights, save_weights
from headstart.data.order import Rows, batches, seed_of, share, training_step
from headstart.data.views import draw, training_view
from headstart.errors import HeadstartError
from headstart.optimizer import lr_factor, set_lr
from headstart.probe import solve_head
from headstart.record import predictions, save_features
from headstart.run import Row
from headstart.tasks import Batch, Seen
from headstart.training import Training

LOOK = 20
"""Steps between two looks at whether the loss is still a number: on a GPU every look waits for the step to end."""


@dataclass(frozen=True)
class Step:
    """One optimizer step was taken."""

    epoch: int
    step: int
    steps: int
    images: int
    loss: Tensor
    """A scalar, detached; reading it waits for the device."""


@dataclass(frozen=True)
class Epoch:
    """One epoch was finished and written down."""

    epoch: int
    rows: tuple[Row, ...]
    """What was added to `metrics.csv`: one row per split."""
    kept: bool
    """Whether its weights are the best so far."""


def train(training: Training) -> Generator[Step | Epoch, None, None]:
    """Train to the end of the recipe, saying so after every step and every epoch.

    Raises HeadstartError when the loss is no longer a number, or the run folder can no longer be written.
    """
    recipe, fabric, progress = training.recipe, training.fabric, training.progress
    epochs, steps = recipe.train.epochs, training.steps
    saved = time.monotonic()
    try:
        while progress.epoch < epochs:
            epoch, began = progress.epoch, time.perf_counter() - progress.seconds
            order = training.order(epoch)
            training.task.train()
            if recipe.probe.method == "logistic":
                solve_head(training)
                progress.step, progress.seconds = steps, time.perf_counter() - began
            while progress.step < steps:
                step = progress.step
                set_lr(training.optimizer, lr_factor(recipe.schedule, epochs, epoch, step, steps))
                batch = _training_batch(training, epoch, step, training_step(order, step, recipe.train.batch))
                torch.manual_seed(seed_of("step", recipe.seed, epoch, step, fabric.global_rank))  # dropout
                loss = training.network(batch)
                fabric.backward(loss)
                training.optimizer.step()
                training.optimizer.zero_grad()
                training.task.after_step((epoch + (step + 1) / steps) / epochs)
                progress.step, progress.seconds = step + 1, time.perf_counter() - began
                if progress.step % LOOK == 0 or progress.step == steps:
                    _require_number(loss, training)
                if time.monotonic() - saved > 60 * recipe.keep.minutes:
                    training.save()
                    saved = time.monotonic()
                yield Step(epoch, step, steps, len(batch.labels) * fabric.world_size, loss.detach())
            yield _end_of_epoch(training)
            saved = time.monotonic()
    except GeneratorExit:
        if progress.epoch < epochs:
            training.save()
        raise


def _training_batch(training: Training, epoch: int, step: int, rows: Rows) -> Batch:
    """This rank's part of a step. The draw is made for all ranks, so that it does not hang on their number."""
    recipe, fabric = training.recipe, training.fabric
    chance = torch.Generator().manual_seed(seed_of("views", recipe.seed, epoch, step))
    drawn = draw(recipe.views, len(rows), chance).of(slice(fabric.global_rank, None, fabric.world_size))
    mine = share(rows, fabric.global_rank, fabric.world_size)
    labels = training.labels[mine].to(fabric.device)
    if training.embedded is not None:
        return Batch(training.embedded.training(mine, epoch), labels)
    images = training_view(training.pixels.batch(mine).to(fabric.device), recipe.views, recipe.side(epoch), drawn)
    return Batch(images, labels)


def _end_of_epoch(training: Training) -> Epoch:
    """Validate, keep what is best, and write the epoch down: `metrics.csv` comes after all that it speaks of."""
    run, progress = training.run, training.progress
    count = len(training.order(progress.epoch))
    learnt = _figures(training.task.training_metrics)
    speed = {"seconds": round(progress.seconds, 3), "images_per_second": round(count / max(progress.seconds, 1e-9), 1)}
    first: Row = {
        "epoch": progress.epoch,
        "split": "train",
        "images": count,
        **learnt,
        "lr": training.optimizer.param_groups[0]["lr"],
        **speed,
    }
    second, seen = _validate(training, "val")
    rows = [first, second]
    kept = _is_best(training, second)
    done = progress.epoch + 1 == training.recipe.train.epochs
    if training.fabric.is_global_zero:
        if kept:
            save_weights(run, "best", training.task.weights())
            run.write_table("predictions.csv", predictions(training.pixels.index, "val", seen.probabilities))
        save_weights(run, "last", training.task.weights())
    if progress.epoch in training.recipe.looked_at():
        _store_features(training, seen)
    if done and training.pixels.index.positions("test"):
        training.fabric.barrier()
        training.task.set_weights(read_weights(run))
        rows.append(_validate(training, "test")[0])
    progress.rows += rows
    progress.epoch, progress.step, progress.seconds = progress.epoch + 1, 0, 0.0
    if training.fabric.is_global_zero:
        run.write_table("metrics.csv", progress.rows)
        if done:
            shutil.rmtree(run.checkpoint.parent, ignore_errors=True)
    if not done:
        training.save()
    return Epoch(progress.epoch - 1, tuple(rows), kept)


def _validate(training: Training, split: str) -> tuple[Row, Seen]:
    """The figures of one split, and what the network sees in its images, over all ranks."""
    began, rows = time.perf_counter(), np.array(training.pixels.index.positions(split), dtype=np.int64)
    seen = _see(training, rows, training.task.evaluate)
    seconds = time.perf_counter() - began
    speed = {"seconds": round(seconds, 3), "images_per_second": round(len(rows) / seconds, 1)}
    figures = _figures(training.task.metrics)
    return {"epoch": training.progress.epoch, "split": split, "images": len(rows), **figures, **speed}, seen


def _store_features(training: Training, validation: Seen) -> None:
    """Look at a sample of the training images too, and write down what is seen."""
    began = time.perf_counter()
    sample = _see(training, training.sample_rows, lambda batch: training.task.see(batch.images))
    if training.fabric.is_global_zero:
        both = Seen(*(torch.cat(parts) for parts in zip(validation, sample, strict=True)))
        save_features(training.run, training.progress.epoch, both, time.perf_counter() - began)


@torch.inference_mode()
def _see(training: Training, rows: Rows, look: Callable[[Batch], Seen]) -> Seen:
    """What ``look`` sees in some rows, in their order, on the CPU; each rank looks at its share."""
    recipe, fabric, task = training.recipe, training.fabric, training.task
    features, probabilities = (torch.zeros(len(rows), width) for width in (task.features, task.classes))
    task.eval()
    for places in batches(share(np.arange(len(rows)), fabric.global_rank, fabric.world_size), recipe.val.batch):
        images = training.plain_images(rows[places])
        with fabric.autocast():
            seen = look(Batch(images, training.labels[rows[places]].to(fabric.device)))
        features[places], probabilities[places] = seen.features.cpu(), seen.probabilities.cpu()
    if fabric.world_size > 1:  # each row is zero on all ranks but one
        whole = fabric.all_reduce((features.to(fabric.device), probabilities.to(fabric.device)), reduce_op="sum")
        features, probabilities = (torch.as_tensor(part).cpu() for part in whole)
    return Seen(features, probabilities)


def _figures(metrics: MetricCollection) -> dict[str, float]:
    """What a metric collection holds, as plain numbers; it then begins anew."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchmetrics misses updates that were made before a run was resumed
        figures = {name: float(value) for name, value in metrics.compute().items()}
    metrics.reset()
    return figures


def _is_best(training: Training, validated: Row) -> bool:
    """Whether an epoch is the best so far by the metric that the recipe keeps, which is then written down."""
    progress, keep = training.progress, training.recipe.keep.metric
    if keep == "last":
        return True
    value, best = validated[keep.removeprefix("val_")], progress.best
    if best is not None and not (value < best if keep == "val_loss" else value > best):
        return False
    progress.best = value
    return True


def _require_number(loss: Tensor, training: Training) -> None:
    if not torch.isfinite(loss):
        lr = training.recipe.optimizer.lr
        raise HeadstartError(
            f"{training.run.path}: expected a loss that is a number, found {float(loss.detach())} in epoch"
            f" {training.progress.epoch + 1}, step {training.progress.step}",
            f"headstart fit {training.recipe.name} {training.run.data['root']} optimizer.lr={lr / 10:g}",
        )
