"""One training: what the loop works on, started anew or as it stood when it was last saved."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from headstart.data.checks.contamination import overlapping_rows
from headstart.data.dataset import Dataset, open_dataset
from headstart.data.pixels import Pixels
from headstart.data.requirements import require_different_masks
from headstart.data.sampling import Rows, epoch_permutation, seed_of, steps_in_epoch
from headstart.data.splits import label_subset
from headstart.data.thumbnails import thumbnails
from headstart.errors import HeadstartError
from headstart.models.backbones import default_image_size
from headstart.recipes.recipe import Recipe
from headstart.runs.folder import RunFolder, refuse_unless_free, write_trained_on
from headstart.tasks import Task, task_named
from headstart.training.architecture import architecture
from headstart.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from headstart.training.feature_cache import FeatureCache, cache_features
from headstart.training.mask_snapshots import snapshot_rows, write_ground_truth
from headstart.training.optimizer import make_optimizer
from headstart.training.provenance import describe_data, describe_environment, feature_table

WHOLE = "data.resize keep"
"""What asks for whole images in validation, in an error."""

Decoding = Callable[[int, int], None]
"""Called with (images decoded, images in all)."""


@dataclass
class TrainState:
    """What the loop works on."""

    recipe: Recipe
    run: RunFolder
    pixels: Pixels
    labels: Tensor
    fabric: Fabric
    task: Task
    network: Any
    """`task` as Fabric wraps it; its forward is the loss."""
    optimizer: Any
    progress: Progress
    train_rows: Rows
    """The images that are trained on: of the training images, those of the label fraction."""
    excluded: int | None = None
    """Images that are not trained on because those of `data.exclude_overlap_with` are, or look like, them; None without it."""
    feature_cache: FeatureCache | None = None
    """What a frozen backbone makes of the images; None when it is run in every step."""

    @property
    def train_sample_rows(self) -> Rows:
        """The training images that are looked at beside the validation images: always the same, drawn by the seed."""
        order = epoch_permutation(seed_of("sample", self.recipe.seed), 0, len(self.train_rows))
        return self.train_rows[np.sort(order[: self.recipe.analysis.train_samples])]

    @property
    def snapshot_rows(self) -> list[int]:
        """The validation images whose masks are kept over the epochs; none without `analysis.save_images`."""
        insight = self.recipe.analysis
        return snapshot_rows(self.pixels.index, insight.masks) if insight.save_images else []

    @property
    def steps(self) -> int:
        """Steps per epoch."""
        return steps_in_epoch(self.images_per_epoch, self.recipe.train.batch_size)

    def epoch_rows(self, epoch: int) -> Rows:
        """The rows that are trained on in an epoch, in their order."""
        recipe, count = self.recipe, len(self.train_rows)
        return self.train_rows[epoch_permutation(recipe.seed, epoch, count, self.images_per_epoch)]

    @property
    def images_per_epoch(self) -> int:
        """With equal steps, as many as with all labels: the same images come again within an epoch."""
        in_steps = self.recipe.probe.method == "sgd" and self.recipe.train.fixed_steps
        return len(self.pixels.index.positions("train")) if in_steps else len(self.train_rows)

    def save(self) -> None:
        """Write down where the training stands."""
        if self.fabric.is_global_zero:
            state = {"task": self.task.state_dict(), "optimizer": self.optimizer.state_dict()}
            save_checkpoint(self.run, self.progress, state)


def start(recipe: Recipe, data: str | Dataset, out: Path, decoding: Decoding | None = None) -> TrainState:
    """Everything before the first step. What can fail does so before the run folder is made.

    ``data`` is a folder or CSV file, or a data set that is open already (as a study's is).
    Raises HeadstartError for data, weights or an output folder that cannot be used.
    """
    fabric = _launch(recipe)
    if fabric.is_global_zero:
        refuse_unless_free(out)
    _check_input_sizes(recipe)
    training, provenance = _prepare(fabric, recipe, RunFolder(out), data, decoding)
    if fabric.is_global_zero:
        facts = {**describe_environment(fabric.device), "processes": fabric.world_size, "weights": provenance}
        trained_on = {"images_trained_on": len(training.train_rows)}  # fewer than there are, with a label fraction
        if training.excluded is not None:
            trained_on["left_out"] = training.excluded
        RunFolder.create(out, recipe, facts, {**describe_data(training.pixels), **trained_on})
        contents = training.pixels.contents
        write_trained_on(training.run, [contents[row] for row in training.train_rows])
        seen = [*training.pixels.index.positions("val"), *training.train_sample_rows.tolist()]
        if recipe.analysis.save_images:
            training.run.write("thumbnails.zip", thumbnails(training.pixels, seen))
        if training.task.target == "mask":
            write_ground_truth(training.run, training.pixels, training.snapshot_rows)
        training.run.write_table("features/images.csv", feature_table(training.pixels.index, seen))
        training.run.write_json("architecture.json", architecture(training.task, recipe.data.image_size))
    fabric.barrier()
    return training


def resume(path: Path, data: str | Dataset | None = None, decoding: Decoding | None = None) -> TrainState:
    """A run as it stood when it was last saved; ``data`` says where its images are now, if they have moved.

    Raises HeadstartError for a finished run, for other images than it began with, and for a damaged checkpoint.
    """
    run = RunFolder.open(path)
    recipe, facts = run.recipe, run.data
    if run.finished:
        raise HeadstartError(
            f"{path}: expected an unfinished run, found all {recipe.train.epochs} epochs done",
            f"headstart report {path}",
        )
    saved = load_checkpoint(run) if run.checkpoint.is_file() else None  # none: it was stopped before the first save
    none = recipe.backbone.model_copy(update={"weights": "none"})
    begun = recipe if saved is None else recipe.model_copy(update={"backbone": none})
    training, _ = _prepare(_launch(recipe), begun, run, data or facts["root"], decoding)
    if training.pixels.fingerprint != facts["fingerprint"]:
        raise HeadstartError(
            f"{data or facts['root']}: expected the images that {path} began with (fingerprint {facts['fingerprint']}),"
            f" found others ({training.pixels.fingerprint})",
            f"headstart fit {path / 'recipe.toml'} {data or facts['root']} (a new run)",
        )
    if saved is not None:
        training.progress, state = saved
        training.task.load_state_dict(state["task"])
        training.optimizer.load_state_dict(state["optimizer"])
    return training


def _launch(recipe: Recipe) -> Fabric:
    """Fabric on the devices of this machine: one, or what torchrun asked for."""
    local, world = (int(os.environ.get(name, "1")) for name in ("LOCAL_WORLD_SIZE", "WORLD_SIZE"))
    fabric = Fabric(devices=local, num_nodes=max(1, world // local), precision=recipe.train.precision)
    fabric.launch()
    return fabric


def _check_input_sizes(recipe: Recipe) -> None:
    """Show two images of every size to a network of this kind, thrown away after: some take only certain sizes.

    It is another network than the one that is trained, which is drawn after, from the recipe's seed.
    """
    task = task_named(recipe.task).build(recipe, ("one class", "another"))
    for side in sorted({recipe.data.image_size, *(recipe.train_size(epoch) for epoch in range(recipe.train.epochs))}):
        _check_forward(
            task,
            (side, side),
            "data.image_size" if side == recipe.data.image_size else "augment.sizes",
            recipe.backbone.name,
        )


def _check_forward(task: Task, extent: tuple[int, int], field: str, name: str) -> None:
    """Show two images of this height and width to a network."""
    try:
        with torch.inference_mode():
            task.eval().predict(torch.zeros(2, 3, *extent))
    except Exception as error:  # each network complains in its own way
        height, width = extent
        whole = field == WHOLE
        do = f"data.image_size={default_image_size(name)} and no other augment.sizes, or another backbone.name"
        raise HeadstartError(
            f"{field if whole else f'{field} {height}'}: expected images that backbone.name {name} takes, found that it"
            f" does not take {height} x {width} pixels ({str(error)[:120]})",
            "another backbone.name, such as resnet50" if whole else do,
        ) from None


def _prepare(
    fabric: Fabric, recipe: Recipe, run: RunFolder, data: str | Dataset, decoding: Decoding | None
) -> tuple[TrainState, dict[str, Any]]:
    """Index, network, weights, pixels: the quick to fail first. Returns the weights' provenance too."""
    kind = task_named(recipe.task)
    dataset = open_dataset(data)
    index = dataset.index(recipe.data, kind.target)
    if kind.target == "mask" and recipe.analysis.save_images:
        snapshot_rows(index, recipe.analysis.masks)  # raises for an image that is not there, before all are decoded
    torch.manual_seed(seed_of("weights", recipe.seed))
    task = kind.build(recipe, index.classes)
    provenance = task.load_backbone(recipe.backbone)
    with fabric.rank_zero_first():
        pixels = dataset.pixels(recipe.data, kind.target, decoding)
    require_different_masks(pixels)
    if kind.target == "mask":
        _check_forward(task, (pixels.height, pixels.width), WHOLE, recipe.backbone.name)
    task.to(memory_format=torch.channels_last)
    network, optimizer = fabric.setup(task, make_optimizer(task, recipe.optimizer))
    labels = torch.tensor(pixels.index.labels)
    rows = np.array(label_subset(pixels.index, recipe.data.label_fraction, recipe.seed), dtype=np.int64)
    left_out = None
    if recipe.data.exclude_overlap_with is not None:
        known = len(rows)
        rows = _decontaminate(dataset.open(recipe.data.exclude_overlap_with), pixels, rows, recipe, decoding)
        left_out = known - len(rows)
    task.prepare(pixels, rows)
    training = TrainState(recipe, run, pixels, labels, fabric, task, network, optimizer, Progress(), rows, left_out)
    if kind.target == "mask":
        _ = training.snapshot_rows  # raises for an image of analysis.masks that could not be read
    if recipe.backbone.freeze and recipe.probe.cache_features:
        training.feature_cache = cache_features(task, pixels, rows, recipe, fabric.autocast())
    return training, provenance


def _decontaminate(data: Dataset, pixels: Pixels, rows: Rows, recipe: Recipe, decoding: Decoding | None) -> Rows:
    """``rows`` less those that show what ``data`` is judged by: its validation and test images, and their likes."""
    other = data.pixels_without_masks(recipe.data, decoding)
    held_out = [row for row, split in enumerate(other.index.splits) if split in ("val", "test")]
    left = np.setdiff1d(rows, overlapping_rows(pixels, other, np.array(held_out, dtype=np.int64)))
    if len(left) < 2:
        raise HeadstartError(
            f"{pixels.index.root}: expected images that {data} is not judged by, found {len(left)} of {len(rows)}",
            f"headstart check {pixels.index.root}",
        )
    return left
