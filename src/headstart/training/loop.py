"""The one training loop, for every task.

What comes when is a function of (seed, epoch, step, rank), so a run that is stopped anywhere and resumed ends at the
same weights, bit for bit on the CPU. `train` is a generator: who draws progress bars or reports consumes its events,
and may close it at any of them; it then saves a checkpoint.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from headstart.allocator import freed_memory_kept
from headstart.data.sampling import seed_of, step_rows
from headstart.errors import HeadstartError
from headstart.files import Row
from headstart.models.run_weights import read_weights
from headstart.training.batches import training_batch
from headstart.training.checkpointing import Checkpointer
from headstart.training.compilation import compile_steps, uncompiled
from headstart.training.optimizer import lr_factor, set_lr
from headstart.training.ranks import agree
from headstart.training.state import Stopped, TrainState
from headstart.training.stopping import check_finite, stop_on_collapse
from headstart.training.validate import compute_and_reset, validate

FINITE_CHECK_INTERVAL = 20
"""Steps between two checks that the loss is finite: on a GPU each check waits for the step to end."""


@dataclass(frozen=True)
class Step:
    """An optimizer step was taken."""

    epoch: int
    step: int
    steps: int
    images: int
    loss: Tensor
    """A scalar, detached; reading it waits for the device."""


@dataclass(frozen=True)
class Epoch:
    """An epoch finished; its results are saved or queued for saving."""

    epoch: int
    rows: tuple[Row, ...]
    """Its rows of `metrics.csv`: one per split that was evaluated."""
    kept: bool
    """Whether its weights are the best so far."""


def train(training: TrainState) -> Generator[Step | Epoch, None, None]:
    """Train to the last epoch of the recipe, or to a requested stop; yields an event after every step and epoch.

    Raises HeadstartError when the loss is not finite, the network collapsed, or the run folder cannot be written.
    """
    recipe, progress = training.recipe, training.progress
    checkpointer = Checkpointer(training)
    if recipe.train.compile and not recipe.backbone.freeze:
        compile_steps(training.task.backbone, training.fabric.device)
    with freed_memory_kept():
        try:
            while progress.epoch < recipe.train.epochs:
                training.task.train()
                if recipe.probe.method == "logistic":
                    from headstart.training.linear_probe import solve_head  # scikit-learn takes a second to import

                    began = time.perf_counter()
                    solve_head(training)
                    progress.step, progress.seconds = training.steps, time.perf_counter() - began
                else:
                    yield from _train_epoch(training, checkpointer)
                yield _end_epoch(training, checkpointer)
            training.finish()
        except Stopped:
            checkpointer.write(together=True)
        except GeneratorExit:
            if progress.epoch < recipe.train.epochs:
                checkpointer.write()
            raise


def _train_epoch(training: TrainState, checkpointer: Checkpointer) -> Generator[Step, None, None]:
    """The steps of the epoch under way, from the one where it was stopped."""
    recipe, fabric, progress = training.recipe, training.fabric, training.progress
    epochs, epoch, steps = recipe.train.epochs, progress.epoch, training.steps
    full = recipe.train.batch_size // fabric.world_size
    order, began = training.epoch_rows(epoch), time.perf_counter() - progress.seconds
    while progress.step < steps:
        step = progress.step
        # 1. The learning rate, the batch and the dropout of this step.
        set_lr(training.optimizer, lr_factor(recipe.schedule, epochs, epoch, step, steps))
        batch = training_batch(training, epoch, step, step_rows(order, step, recipe.train.batch_size))
        _seed_dropout(fabric.device, seed_of("step", recipe.seed, epoch, step, fabric.global_rank))
        # 2. Loss, gradient, update.
        with nullcontext() if len(batch.labels) == full else uncompiled():
            loss = training.network(batch)
        fabric.backward(loss)
        training.optimizer.step()
        training.optimizer.zero_grad()
        training.task.after_step((epoch + (step + 1) / steps) / epochs)
        # 3. Progress: nothing of this step is left to do when a checkpoint is saved.
        progress.step, progress.seconds = step + 1, time.perf_counter() - began
        if progress.step % FINITE_CHECK_INTERVAL == 0 or progress.step == steps:
            check_finite(loss, training)
        save_due, stop = agree(fabric, checkpointer.step_save_due, training.stop_requested())
        if save_due and not stop:
            checkpointer.write(together=True)
        yield Step(epoch, step, steps, len(batch.labels) * fabric.world_size, loss.detach())
        if stop:
            raise Stopped


def _end_epoch(training: TrainState, checkpointer: Checkpointer) -> Epoch:
    """Validate, stage the weights, and save what is due: `metrics.csv` comes after all files that it describes."""
    progress, recipe = training.progress, training.recipe
    done, val_rows, is_best, outputs = progress.epoch + 1 == recipe.train.epochs, [], False, None
    # 1. The rows of `metrics.csv`, and what the recorders write for this epoch. A stop in here leaves the epoch as it
    #    is behind its last step: nothing of it is counted before all ranks have validated.
    if progress.epoch in recipe.validated_epochs():
        val_row, outputs = validate(training, "val")
        for recorder in training.recorders:
            val_row |= recorder.at_epoch(training, outputs)
        val_rows = [val_row]
        is_best = _update_best(training, val_row)
    rows = [_training_row(training), *val_rows]  # last, for it empties the training metrics
    # 2. Weights and predictions.
    checkpointer.stage(is_best, outputs)
    save = done or checkpointer.epoch_save_due
    if save:
        checkpointer.write_weights()
    if done:
        rows += _evaluate_best(training)
    # 3. `metrics.csv` and the checkpoint, which stand at the start of the next epoch.
    progress.rows += rows
    progress.epoch, progress.step, progress.seconds = progress.epoch + 1, 0, 0.0
    if save:
        checkpointer.write_progress()
    stop_on_collapse(training)
    return Epoch(progress.epoch - 1, tuple(rows), is_best)


def _training_row(training: TrainState) -> Row:
    """The row of the training images in `metrics.csv`."""
    progress, count = training.progress, training.images_per_epoch
    return {
        "epoch": progress.epoch,
        "split": "train",
        "images": count,
        **compute_and_reset(training.task.training_metrics),
        "lr": training.optimizer.param_groups[0]["lr"],
        "seconds": round(progress.seconds, 3),
        "images_per_second": round(count / max(progress.seconds, 1e-9), 1),
    }


def _evaluate_best(training: TrainState) -> list[Row]:
    """After the last epoch: evaluate the best weights on the test split, if any, and let recorders use them."""
    has_test = bool(training.pixels.index.positions("test"))
    if has_test or any(recorder.needs_best_weights for recorder in training.recorders):
        training.fabric.barrier()  # the first rank has written them
        training.task.load_weights(read_weights(training.run))
    training.stop_requested = lambda: False  # the best weights are in the network: it is too late to stop and resume
    rows = [validate(training, "test")[0]] if has_test else []
    for recorder in training.recorders:
        recorder.at_end(training)
    return rows


def _update_best(training: TrainState, val_row: Row) -> bool:
    """Whether an epoch is the best so far by `checkpoint.monitor`; its value is then the one to beat."""
    progress, monitor = training.progress, training.recipe.checkpoint.monitor
    if monitor == "last":
        return True
    name = monitor.removeprefix("val_")
    if name not in val_row:
        raise HeadstartError(
            f"checkpoint.monitor: expected a metric of the task {training.recipe.task}, found {monitor}",
            "checkpoint.monitor=val_loss",
        )
    value, best = val_row[name], progress.best
    if best is not None and not (value < best if monitor == "val_loss" else value > best):
        return False
    progress.best = value
    return True


def _seed_dropout(device: torch.device, seed: int) -> None:
    """As `torch.manual_seed`, for one device: that function also stores a stack trace for every kind of GPU."""
    torch.default_generator.manual_seed(seed)
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(seed)
