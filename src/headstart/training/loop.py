"""The one training loop, for every task.

What comes when is a function of (seed, epoch, step, rank), so a run that is stopped anywhere and resumed ends at
the same weights, bit for bit on the CPU. `train` is a generator: whoever draws progress bars or reports takes its
events, and may close it at any of them; it then saves where it stands.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass

import torch
from torch import Tensor

from headstart.data.sampling import Rows, seed_of, shard, step_rows
from headstart.errors import HeadstartError
from headstart.files import Row
from headstart.metrics.collapse import diagnose
from headstart.models.run_weights import read_weights
from headstart.recipes.recipe import Augment
from headstart.runs.confusion import image_ious, read_mask_confusions, worst_and_best
from headstart.tasks import EMPTY_IMAGES, Batch, ModelOutput
from headstart.training.checkpointing import Checkpointer
from headstart.training.mask_snapshots import epoch_folder, write_ground_truth, write_predictions
from headstart.training.optimizer import lr_factor, set_lr
from headstart.training.provenance import save_features
from headstart.training.setup import TrainState
from headstart.training.validate import compute_and_reset, embed_train_sample, knn_metrics, validate
from headstart.transforms.batch import images_at
from headstart.transforms.params import AugmentParams, sample_params

FINITE_CHECK_INTERVAL = 20
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
    """One epoch was finished, and written down or held to be."""

    epoch: int
    rows: tuple[Row, ...]
    """What is added to `metrics.csv`: one row per split."""
    kept: bool
    """Whether its weights are the best so far."""


def train(training: TrainState) -> Generator[Step | Epoch, None, None]:
    """Train to the end of the recipe, saying so after every step and every epoch.

    Raises HeadstartError when the loss is no longer a number, or the run folder can no longer be written.
    """
    recipe, fabric, progress = training.recipe, training.fabric, training.progress
    epochs, steps = recipe.train.epochs, training.steps
    keeping = Checkpointer(training)
    try:
        while progress.epoch < epochs:
            epoch, began = progress.epoch, time.perf_counter() - progress.seconds
            order = training.epoch_rows(epoch)
            training.task.train()
            if recipe.probe.method == "logistic":
                from headstart.training.linear_probe import solve_head  # scikit-learn takes a second to import

                solve_head(training)
                progress.step, progress.seconds = steps, time.perf_counter() - began
            while progress.step < steps:
                step = progress.step
                set_lr(training.optimizer, lr_factor(recipe.schedule, epochs, epoch, step, steps))
                batch = _training_batch(training, epoch, step, step_rows(order, step, recipe.train.batch_size))
                _seed_dropout(fabric.device, seed_of("step", recipe.seed, epoch, step, fabric.global_rank))
                loss = training.network(batch)
                fabric.backward(loss)
                training.optimizer.step()
                training.optimizer.zero_grad()
                training.task.after_step((epoch + (step + 1) / steps) / epochs)
                progress.step, progress.seconds = step + 1, time.perf_counter() - began
                if progress.step % FINITE_CHECK_INTERVAL == 0 or progress.step == steps:
                    _check_finite(loss, training)
                if keeping.step_save_due:
                    keeping.write()
                yield Step(epoch, step, steps, len(batch.labels) * fabric.world_size, loss.detach())
            yield _end_of_epoch(training, keeping)
    except GeneratorExit:
        if progress.epoch < epochs:
            keeping.write()
        raise


def _seed_dropout(device: torch.device, seed: int) -> None:
    """`torch.manual_seed` for the device alone: that one also keeps a trace of its caller for every kind of GPU."""
    torch.default_generator.manual_seed(seed)
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(seed)


def _training_batch(training: TrainState, epoch: int, step: int, rows: Rows) -> Batch:
    """This rank's part of a step. Draws are made for all ranks, so that they do not hang on their number."""
    recipe, fabric, task = training.recipe, training.fabric, training.task
    mine = shard(rows, fabric.global_rank, fabric.world_size)
    labels, with_masks = training.labels[mine].to(fabric.device), task.target == "mask"
    if training.feature_cache is not None:
        masks = training.feature_cache.training_masks(mine, epoch, training.pixels) if with_masks else None
        return Batch(EMPTY_IMAGES, labels, masks=masks, features=training.feature_cache.training(mine, epoch))
    images, side = images_at(training.pixels, mine, recipe.data, with_masks, fabric.device), recipe.train_size(epoch)

    def drawn(name: str, settings: Augment) -> AugmentParams:
        chance = torch.Generator().manual_seed(seed_of(name, recipe.seed, epoch, step))
        return sample_params(settings, len(rows), chance).select(slice(fabric.global_rank, None, fabric.world_size))

    first, others = drawn("views", recipe.augment), recipe.second_augment or recipe.augment
    second = (
        images.view(others, side, drawn("second views", others).with_window_from(first))
        if task.num_views == 2
        else None
    )
    return Batch(images.view(recipe.augment, side, first), labels, second, images.mask(side, first))


def _end_of_epoch(training: TrainState, keeping: Checkpointer) -> Epoch:
    """Validate, keep what is best, and write the epoch down: `metrics.csv` comes after all that it speaks of."""
    progress, task = training.progress, training.task
    count = training.images_per_epoch
    first: Row = {
        "epoch": progress.epoch,
        "split": "train",
        "images": count,
        **compute_and_reset(task.training_metrics),
        "lr": training.optimizer.param_groups[0]["lr"],
        "seconds": round(progress.seconds, 3),
        "images_per_second": round(count / max(progress.seconds, 1e-9), 1),
    }
    second, seen = validate(training, "val")
    second |= _record_features(training, seen)
    rows = [first, second]
    kept = _is_best(training, second)
    done = progress.epoch + 1 == training.recipe.train.epochs
    keeping.stage(kept, seen)
    written = done or keeping.epoch_save_due
    if written:
        keeping.write_weights()
    if done:
        rows += _evaluate_best(training)
    progress.rows += rows
    progress.epoch, progress.step, progress.seconds = progress.epoch + 1, 0, 0.0
    if written:
        keeping.write_progress()
    _stop_on_collapse(training)
    return Epoch(progress.epoch - 1, tuple(rows), kept)


def _evaluate_best(training: TrainState) -> list[Row]:
    """At the end: the figures of test images, where there are some, and masks of the worst validation images."""
    tested = bool(training.pixels.index.positions("test"))
    with_masks = training.task.target == "mask" and training.recipe.analysis.save_images
    if not (tested or with_masks):
        return []
    training.fabric.barrier()
    training.task.load_weights(read_weights(training.run))
    rows = [validate(training, "test")[0]] if tested else []
    answers = read_mask_confusions(training.run) if with_masks else None
    if answers is not None and training.fabric.is_global_zero:
        run, pixels, validation = training.run, training.pixels, training.pixels.index.positions("val")
        worst, best = worst_and_best(image_ious(answers.confusion))
        shown = list(dict.fromkeys([*training.snapshot_rows, *(validation[place] for place in (*worst, *best))]))
        write_ground_truth(run, pixels, shown)
        write_predictions(run, "best", training.task.eval(), training.recipe, pixels, shown, training.fabric.autocast())
    return rows


def _record_features(training: TrainState, validation: ModelOutput) -> Row:
    """Look at a sample of the training images too: store it at the chosen epochs, and find neighbors in it.

    Neighbors are told where a task learns without labels and there are some; others have their accuracy.
    """
    run, epoch, without = training.run, training.progress.epoch, training.task.target == "none"
    stored = epoch in training.recipe.analysis_epochs()
    if not (stored or without):
        return {}
    sample, seconds = embed_train_sample(training)
    if stored and training.fabric.is_global_zero:
        save_features(run, epoch, validation, sample, seconds)
        if training.task.target == "mask":
            autocast = training.fabric.autocast()
            write_predictions(
                run,
                epoch_folder(epoch),
                training.task,
                training.recipe,
                training.pixels,
                training.snapshot_rows,
                autocast,
            )
    return knn_metrics(training, validation, sample) if without else {}


def _is_best(training: TrainState, validated: Row) -> bool:
    """Whether an epoch is the best so far by the metric that the recipe keeps, which is then written down."""
    progress, keep = training.progress, training.recipe.checkpoint.monitor
    if keep == "last":
        return True
    value, best = validated[keep.removeprefix("val_")], progress.best
    if best is not None and not (value < best if keep == "val_loss" else value > best):
        return False
    progress.best = value
    return True


def _check_finite(loss: Tensor, training: TrainState) -> None:
    if not torch.isfinite(loss):
        lr = training.recipe.optimizer.lr
        raise HeadstartError(
            f"{training.run.path}: expected a loss that is a number, found {float(loss.detach())} in epoch"
            f" {training.progress.epoch + 1}, step {training.progress.step}",
            f"headstart fit {training.recipe.name} {training.run.data['root']} optimizer.lr={lr / 10:g}",
        )


def _stop_on_collapse(training: TrainState) -> None:
    """Stop a training whose network gives the same answer to every image: more of it would mend nothing."""
    health = diagnose(training.progress.rows)
    if health is not None and health.kind == "collapsed":
        found = health.sentence.removesuffix(".")
        raise HeadstartError(f"{training.run.path}: expected outputs that differ. {found}", health.fix)
