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

from headstart.data.sampling import Rows, seed_of, share, training_step
from headstart.errors import HeadstartError
from headstart.files import Row
from headstart.metrics.collapse import verdict
from headstart.models.run_weights import read_weights
from headstart.recipes.recipe import Views
from headstart.runs.confusion import image_ious, read_mask_answers, worst_and_best
from headstart.tasks import NO_PIXELS, Batch, Seen
from headstart.training.checkpointing import Keeping
from headstart.training.mask_snapshots import epoch_folder, show_predicted, show_truth
from headstart.training.optimizer import lr_factor, set_lr
from headstart.training.provenance import save_features
from headstart.training.setup import Training
from headstart.training.validate import figures_of, look, neighbourhood, see_sample
from headstart.transforms.augment import Draw, draw
from headstart.transforms.batch import images_at

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
    """One epoch was finished, and written down or held to be."""

    epoch: int
    rows: tuple[Row, ...]
    """What is added to `metrics.csv`: one row per split."""
    kept: bool
    """Whether its weights are the best so far."""


def train(training: Training) -> Generator[Step | Epoch, None, None]:
    """Train to the end of the recipe, saying so after every step and every epoch.

    Raises HeadstartError when the loss is no longer a number, or the run folder can no longer be written.
    """
    recipe, fabric, progress = training.recipe, training.fabric, training.progress
    epochs, steps = recipe.train.epochs, training.steps
    keeping = Keeping(training)
    try:
        while progress.epoch < epochs:
            epoch, began = progress.epoch, time.perf_counter() - progress.seconds
            order = training.order(epoch)
            training.task.train()
            if recipe.probe.method == "logistic":
                from headstart.training.linear_probe import solve_head  # scikit-learn takes a second to import

                solve_head(training)
                progress.step, progress.seconds = steps, time.perf_counter() - began
            while progress.step < steps:
                step = progress.step
                set_lr(training.optimizer, lr_factor(recipe.schedule, epochs, epoch, step, steps))
                batch = _training_batch(training, epoch, step, training_step(order, step, recipe.train.batch))
                _seed_dropout(fabric.device, seed_of("step", recipe.seed, epoch, step, fabric.global_rank))
                loss = training.network(batch)
                fabric.backward(loss)
                training.optimizer.step()
                training.optimizer.zero_grad()
                training.task.after_step((epoch + (step + 1) / steps) / epochs)
                progress.step, progress.seconds = step + 1, time.perf_counter() - began
                if progress.step % LOOK == 0 or progress.step == steps:
                    _require_number(loss, training)
                if keeping.overdue:
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


def _training_batch(training: Training, epoch: int, step: int, rows: Rows) -> Batch:
    """This rank's part of a step. Draws are made for all ranks, so that they do not hang on their number."""
    recipe, fabric, task = training.recipe, training.fabric, training.task
    mine = share(rows, fabric.global_rank, fabric.world_size)
    labels, with_masks = training.labels[mine].to(fabric.device), task.target == "mask"
    if training.embedded is not None:
        masks = training.embedded.training_masks(mine, epoch, training.pixels) if with_masks else None
        return Batch(NO_PIXELS, labels, masks=masks, embedded=training.embedded.training(mine, epoch))
    images, side = images_at(training.pixels, mine, recipe.data, with_masks, fabric.device), recipe.side(epoch)

    def drawn(name: str, settings: Views) -> Draw:
        chance = torch.Generator().manual_seed(seed_of(name, recipe.seed, epoch, step))
        return draw(settings, len(rows), chance).of(slice(fabric.global_rank, None, fabric.world_size))

    first, others = drawn("views", recipe.views), recipe.second_views or recipe.views
    second = images.view(others, side, drawn("second views", others).of_window(first)) if task.views == 2 else None
    return Batch(images.view(recipe.views, side, first), labels, second, images.mask(side, first))


def _end_of_epoch(training: Training, keeping: Keeping) -> Epoch:
    """Validate, keep what is best, and write the epoch down: `metrics.csv` comes after all that it speaks of."""
    progress, task = training.progress, training.task
    count = training.images_per_epoch
    first: Row = {
        "epoch": progress.epoch,
        "split": "train",
        "images": count,
        **figures_of(task.training_metrics),
        "lr": training.optimizer.param_groups[0]["lr"],
        "seconds": round(progress.seconds, 3),
        "images_per_second": round(count / max(progress.seconds, 1e-9), 1),
    }
    second, seen = look(training, "val")
    second |= _look_closer(training, seen)
    rows = [first, second]
    kept = _is_best(training, second)
    done = progress.epoch + 1 == training.recipe.train.epochs
    keeping.hold(kept, seen)
    written = done or keeping.due
    if written:
        keeping.write_weights()
    if done:
        rows += _by_kept_weights(training)
    progress.rows += rows
    progress.epoch, progress.step, progress.seconds = progress.epoch + 1, 0, 0.0
    if written:
        keeping.write_progress()
    _require_health(training)
    return Epoch(progress.epoch - 1, tuple(rows), kept)


def _by_kept_weights(training: Training) -> list[Row]:
    """At the end: the figures of test images, where there are some, and masks of the worst validation images."""
    tested = bool(training.pixels.index.positions("test"))
    with_masks = training.task.target == "mask" and training.recipe.insight.pictures
    if not (tested or with_masks):
        return []
    training.fabric.barrier()
    training.task.set_weights(read_weights(training.run))
    rows = [look(training, "test")[0]] if tested else []
    answers = read_mask_answers(training.run) if with_masks else None
    if answers is not None and training.fabric.is_global_zero:
        run, pixels, validation = training.run, training.pixels, training.pixels.index.positions("val")
        worst, best = worst_and_best(image_ious(answers.confusion))
        shown = list(dict.fromkeys([*training.shown, *(validation[place] for place in (*worst, *best))]))
        show_truth(run, pixels, shown)
        show_predicted(run, "best", training.task.eval(), training.recipe, pixels, shown, training.fabric.autocast())
    return rows


def _look_closer(training: Training, validation: Seen) -> Row:
    """Look at a sample of the training images too: store it at the chosen epochs, and find neighbours in it.

    Neighbours are told where a task learns without labels and there are some; others have their accuracy.
    """
    run, epoch, without = training.run, training.progress.epoch, training.task.target == "none"
    stored = epoch in training.recipe.looked_at()
    if not (stored or without):
        return {}
    sample, seconds = see_sample(training)
    if stored and training.fabric.is_global_zero:
        save_features(run, epoch, validation, sample, seconds)
        if training.task.target == "mask":
            autocast = training.fabric.autocast()
            show_predicted(
                run, epoch_folder(epoch), training.task, training.recipe, training.pixels, training.shown, autocast
            )
    return neighbourhood(training, validation, sample) if without else {}


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


def _require_health(training: Training) -> None:
    """Stop a training whose network gives the same answer to every image: more of it would mend nothing."""
    health = verdict(training.progress.rows)
    if health is not None and health.kind == "collapsed":
        found = health.sentence.removesuffix(".")
        raise HeadstartError(f"{training.run.path}: expected outputs that differ. {found}", health.do)
