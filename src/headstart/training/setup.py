"""Set-up of a training: start a new run, or resume one from its checkpoint."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric

from headstart.data.checks.contamination import overlapping_rows
from headstart.data.checks.duplicate_sets import duplicate_sets
from headstart.data.dataset import Dataset, open_dataset
from headstart.data.pixels import Pixels
from headstart.data.requirements import require_different_masks
from headstart.data.sampling import Rows, seed_of
from headstart.data.splits import holdout_from_labels, label_subset, with_stored_split
from headstart.errors import HeadstartError, quoted
from headstart.models.backbones import default_image_size
from headstart.recipes.recipe import Backbone, Data, Recipe
from headstart.runs.folder import RunFolder
from headstart.runs.lifecycle import refuse_unless_free
from headstart.runs.training_images import read_held_out
from headstart.tasks import Task, task_named
from headstart.training.checkpoint import Progress, load_checkpoint
from headstart.training.creation import create_run, missing_at_start, write_missing
from headstart.training.feature_cache import cache_features
from headstart.training.optimizer import make_optimizer
from headstart.training.peers import watch_peers
from headstart.training.ranks import agree, launch, make_fabric, require_two_images, synchronize_batchnorm
from headstart.training.recorders import recorders_for
from headstart.training.state import TrainState

OWN_SIZE = "data.resize keep"
"""The field that has images validated at their own size, in an error."""

Decoding = Callable[[int, int], None]
"""Called with (images decoded, images in all)."""


def start(recipe: Recipe, data: str | Dataset, out: Path, decoding: Decoding | None = None) -> TrainState:
    """Start a new run: everything before the first step. What can fail does so before the run folder is made.

    ``data`` is a folder or CSV file, or a dataset that is open already (a study opens it once for all of its trials).
    Raises HeadstartError for data, weights or an output folder that cannot be used.
    """
    _refuse_frozen_noise(recipe.backbone)  # of a new run: one that goes on has its weights from the checkpoint
    fabric = _launch(recipe, out)
    out = Path(fabric.broadcast(str(out)))  # each process may have found another free name
    if fabric.is_global_zero:
        refuse_unless_free(out)
    _check_input_sizes(recipe)
    training, provenance = _prepare(fabric, recipe, RunFolder(out), data, decoding, restored=False)
    if fabric.is_global_zero:
        create_run(training, provenance)
    fabric.barrier()
    _require_shared(fabric, training.run)
    return training


def resume(path: Path, data: str | Dataset | None = None, decoding: Decoding | None = None) -> TrainState:
    """Restore a run from its checkpoint; ``data`` is where its images are now, if they have moved.

    What is missing of the files that `start` wrote is written again. Of a run that is trained already, nothing is left
    to train. Raises HeadstartError for a finished run that misses none of them, for one that was damaged since, for
    other images than it began with, and for a damaged checkpoint.
    """
    run = RunFolder.open(path)
    recipe, facts = run.recipe, run.data
    if run.finished and not missing_at_start(run):
        raise HeadstartError(
            f"{path}: expected an unfinished run, found all {recipe.train.epochs} epochs done",
            f"headstart report {quoted(path)}",
        )
    run.require_resumable()
    saved = load_checkpoint(run) if run.checkpoint.is_file() and not run.trained else None
    fabric = _launch(recipe, path)
    notes = _as_it_began(fabric, run)
    restored = saved is not None or run.trained  # from the checkpoint, which holds all weights, if any are needed
    training, _ = _prepare(fabric, recipe, run, data or facts["root"], decoding, restored)
    training.notes += notes
    if training.pixels.fingerprint != facts["fingerprint"]:
        raise HeadstartError(
            f"{data or facts['root']}: expected the images that {path} began with (fingerprint {facts['fingerprint']}),"
            f" found others ({training.pixels.fingerprint})",
            f"headstart fit {quoted(path / 'recipe.toml')} {quoted(data or facts['root'])} (a new run)",
        )
    if saved is not None:
        training.load(*saved)
    elif run.trained:
        training.progress = Progress(epoch=recipe.train.epochs, rows=run.metrics)
    write_missing(training)
    return training


@contextmanager
def threads_restored() -> Iterator[None]:
    """Give torch, after the block, as many threads as before: `resume` sets those that the run began with."""
    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _as_it_began(fabric: Fabric, run: RunFolder) -> list[str]:
    """Use as many threads as when the run began, on which sums depend in the last digits; what else differs, in words.

    On a GPU threads change nothing.
    """
    notes, now, began = [], torch.get_num_threads(), run.environment
    threads, processes = began.get("threads") or now, began.get("processes") or fabric.world_size
    if threads != now and threads < 1000 and fabric.device.type == "cpu":
        torch.set_num_threads(threads)
        notes.append(f"{run.path} goes on with {threads} threads of the processor, as it began, not {now}.")
    if processes != fabric.world_size:
        launch = f"torchrun --nproc-per-node={processes} -m " if processes > 1 else ""
        notes.append(
            f"{run.path} began with {processes} processes and goes on with {fabric.world_size}: its weights will differ"
            f" from those of a run that was never stopped. With {processes}:"
            f" {launch}headstart fit --resume {quoted(run.path)}"
        )
    return notes


def _launch(recipe: Recipe, run: Path) -> Fabric:
    """Fabric on the devices of this machine: one, or those of torchrun's processes, which then watch each other."""
    local, world = (int(os.environ.get(name, "1")) for name in ("LOCAL_WORLD_SIZE", "WORLD_SIZE"))
    fabric = make_fabric(local, max(1, world // local), recipe.train.precision)
    launch(fabric)
    watch_peers(fabric, run)
    return fabric


def _require_shared(fabric: Fabric, run: RunFolder) -> None:
    """Raise HeadstartError, on all ranks, where one of them does not find the run folder that the first has made."""
    (missed,) = agree(fabric, not (run.path / "recipe.toml").is_file())
    if missed:
        raise HeadstartError(
            f"{run.path.absolute()}: expected a folder that all hosts share, found one that some do not see",
            "headstart fit ... --out FOLDER on a shared disk, the same path on each host",
        )


def _prepare(
    fabric: Fabric, recipe: Recipe, run: RunFolder, data: str | Dataset, decoding: Decoding | None, restored: bool
) -> tuple[TrainState, dict[str, Any]]:
    """Index, network, weights, pixels, in the order of how soon each fails. Returns the weights' provenance too.

    ``restored``: the network gets all of its weights from elsewhere, afterwards.
    """
    # 1. The index: its names and splits are checked before anything is decoded.
    kind = task_named(recipe.task)
    recorders = recorders_for(kind, recipe.analysis)
    dataset = open_dataset(data)
    with fabric.rank_zero_first():
        index = dataset.index(recipe.data, kind.target, decoding)
    for recorder in recorders:
        recorder.check(recipe.analysis, index)
    # 2. The network: its random weights are drawn from the recipe's seed.
    torch.manual_seed(seed_of("weights", recipe.seed))
    task = kind.build(recipe, index.classes)
    provenance = {} if restored else task.load_backbone(recipe.backbone)
    # 3. The pixels. The index may have lost images that cannot be read (`data.skip_unreadable`).
    with fabric.rank_zero_first():
        pixels = dataset.pixels(recipe.data, kind.target, decoding)
    pixels = _split(pixels, recipe, run, decoding)
    require_different_masks(pixels)
    for recorder in recorders:
        recorder.check(recipe.analysis, pixels.index)
    if recipe.data.resize == "keep":
        _check_forward(task, (pixels.height, pixels.width), OWN_SIZE, recipe.backbone.name)
    # 4. The images that are trained on.
    rows, excluded = _training_rows(dataset, pixels, recipe, decoding)
    # 5. The network on its device, with its optimizer and the cached features of a frozen backbone.
    if recipe.train.sync_batchnorm:
        task = synchronize_batchnorm(fabric, task)
    task.to(memory_format=torch.channels_last)
    if recipe.starts_from_probe() and not restored:
        from headstart.training.linear_probe import start_head  # scikit-learn takes a second to import

        with fabric.autocast():
            start_head(task.to(fabric.device), pixels.on(fabric.device), rows, recipe)
    network, optimizer = fabric.setup(task, make_optimizer(task, recipe.optimizer))
    pixels = pixels.on(fabric.device)
    task.prepare(pixels, rows)
    cached = recipe.backbone.freeze and recipe.probe.cache_features
    training = TrainState(
        recipe=recipe,
        run=run,
        pixels=pixels,
        labels=torch.tensor(pixels.index.labels),
        fabric=fabric,
        task=task,
        network=network,
        optimizer=optimizer,
        train_rows=rows,
        recorders=recorders,
        excluded=excluded,
        feature_cache=cache_features(task, pixels, rows, recipe, fabric.autocast()) if cached else None,
    )
    if recipe.probe.method != "logistic":  # it is solved, on all images together
        require_two_images(fabric, recipe.train.batch_size, training.images_per_epoch)
    return training, provenance


def _refuse_frozen_noise(backbone: Backbone) -> None:
    if backbone.freeze_stages and backbone.weights == "none":
        raise HeadstartError(
            f"backbone.freeze_stages: expected 0 for random weights, found {backbone.freeze_stages}",
            "backbone.freeze_stages=0, or other backbone.weights",
        )


def _split(pixels: Pixels, recipe: Recipe, run: RunFolder, decoding: Decoding | None) -> Pixels:
    """The images with the split that the run began with, or a holdout of the labeled ones where the recipe asks it."""
    held_out = read_held_out(run, optional=True)
    if held_out:
        return with_stored_split(pixels, held_out, run.data["fingerprint"])
    if _tunes_on_fewer_labels(recipe.data):
        duplicates = duplicate_sets(pixels.index, decoding)
        return pixels.with_splits(holdout_from_labels(pixels.index, recipe.data, recipe.seed, duplicates).splits)
    return pixels


def _training_rows(
    dataset: Dataset, pixels: Pixels, recipe: Recipe, decoding: Decoding | None
) -> tuple[Rows, int | None]:
    """The images that are trained on, and how many were left out for `data.exclude_overlap_with`; None without."""
    share = 1.0 if _tunes_on_fewer_labels(recipe.data) else recipe.data.label_fraction
    rows = np.array(label_subset(pixels.index, share, recipe.seed), dtype=np.int64)
    if recipe.data.exclude_overlap_with is None:
        return rows, None
    clean = _decontaminate(dataset.open(recipe.data.exclude_overlap_with), pixels, rows, recipe, decoding)
    return clean, len(rows) - len(clean)


def _tunes_on_fewer_labels(data: Data) -> bool:
    """Whether the split itself is of the labeled images alone."""
    return data.validate_on == "train" and data.label_fraction < 1


def _check_input_sizes(recipe: Recipe) -> None:
    """Run two images of every size through a network of this kind, discarded after: some take only certain sizes.

    It is another network than the one that is trained, whose weights are drawn later, from the recipe's seed.
    """
    task = task_named(recipe.task).build(recipe, ("one class", "another"))
    for side in sorted({recipe.data.image_size, *(recipe.train_size(epoch) for epoch in range(recipe.train.epochs))}):
        field = "data.image_size" if side == recipe.data.image_size else "augment.sizes"
        _check_forward(task, (side, side), field, recipe.backbone.name)


def _check_forward(task: Task, extent: tuple[int, int], field: str, backbone: str) -> None:
    """Run two images of this height and width through a network. Raises HeadstartError if it does not take them."""
    try:
        with torch.inference_mode():
            task.eval().predict(torch.zeros(2, 3, *extent))
    except Exception as error:  # each network complains in its own way
        height, width = extent
        own_size = field == OWN_SIZE
        square = f"data.image_size={default_image_size(backbone)} and no other augment.sizes, or another backbone.name"
        raise HeadstartError(
            f"{field if own_size else f'{field} {height}'}: expected images that backbone.name {backbone} takes, found"
            f" that it does not take {height} x {width} pixels ({str(error)[:120]})",
            "another backbone.name, such as resnet50" if own_size else square,
        ) from None


def _decontaminate(data: Dataset, pixels: Pixels, rows: Rows, recipe: Recipe, decoding: Decoding | None) -> Rows:
    """``rows`` without (near-)duplicates of the validation and test images of ``data``."""
    other = data.pixels_without_masks(recipe.data, decoding)  # images alone are compared
    held_out = [row for row, split in enumerate(other.index.splits) if split in ("val", "test")]
    clean = np.setdiff1d(rows, overlapping_rows(pixels, other, np.array(held_out, dtype=np.int64)))
    if len(clean) < 2:
        raise HeadstartError(
            f"{pixels.index.root}: expected training images that are not held-out images of {data}, found {len(clean)}"
            f" of {len(rows)}",
            f"headstart check {quoted(pixels.index.root)}",
        )
    return clean
