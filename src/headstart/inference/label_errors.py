"""Labels to check: all labeled images of a run's data, through a backbone that has not learned from these labels."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from headstart.data.conversion import Conversion
from headstart.data.dataset import Dataset
from headstart.data.index import UNLABELED, Index
from headstart.data.parallel import Progress
from headstart.data.pixels import Pixels, decode
from headstart.data.sampling import Rows, batches
from headstart.environment import require_extra
from headstart.errors import HeadstartError, quoted
from headstart.metrics.bootstrap import numbered
from headstart.metrics.label_errors import FOLDS, LabelErrors, label_errors, out_of_fold
from headstart.recipes import recipe as recipes
from headstart.recipes.recipe import Recipe
from headstart.runs.folder import RunFolder
from headstart.runs.label_errors import LabelCheck, LabelToCheck, write_label_check
from headstart.runs.predictions import read_predictions
from headstart.runs.training_images import read_held_out
from headstart.tasks import Task, task_named
from headstart.transforms.augment import eval_transform

MAX_PICTURES = 48
"""Thumbnails stored: those of the most suspicious labels."""


def check_labels(
    run: RunFolder, data: str | os.PathLike[str] | None = None, progress: Progress | None = None
) -> LabelCheck:
    """Judge every label of a classifier's data by a linear probe that has not seen the image, and write the result.

    The features are of the backbone that the run started from; of ImageNet weights (those of the recipe `quick`) where
    it started from nothing. The trained backbone would defend the labels that it has learned. Each image is encoded
    once. ``data`` is where the images are now, if they have moved. Raises HeadstartError for a run of another task,
    and where fewer than two classes have enough images to judge.
    """
    recipe = run.recipe
    if recipe.task != "classify":
        raise HeadstartError(
            f"{run.path}: expected a run that classifies, found the task {recipe.task}",
            "headstart labels RUN, of a run of headstart fit quick DATA",
        )
    require_extra("labels", ("cleanlab",))
    read_predictions(run)  # which the report will need: a damaged run is refused before the work
    root = os.fspath(data if data is not None else run.data["root"])
    recipe = _with_weights(recipe)
    index = _labeled(root, recipe)
    judged = _judged(index)
    if len(set(np.array(index.labels)[judged])) < 2:
        raise HeadstartError(
            f"{root}: expected two classes of at least {FOLDS} images, found"
            f" {', '.join(f'{name} {index.labels.count(i)}' for i, name in enumerate(index.classes[:5]))}",
            f"headstart check {quoted(root)}",
        )
    pixels = decode(index, recipe.data, conversion=Conversion(run.ranges, recipe.data.bands, recipe.data.max_pixels))
    judged = _judged(pixels.index)
    features = encode(recipe, pixels, judged, progress)
    known, labels = np.unique(np.array(pixels.index.labels)[judged], return_inverse=True)
    probabilities = out_of_fold(features, labels, numbered([pixels.index.groups[row] for row in judged]))
    found = label_errors(labels, probabilities)
    rows, names = _rows(run, pixels.index, judged, known, found)
    check = LabelCheck(
        images=len(judged),
        unjudged=len(pixels) - len(judged),
        agreement=float((probabilities.argmax(axis=1) == labels).mean()),
        backbone=f"{recipe.backbone.name} ({recipe.backbone.weights})",
        rows=tuple(names),
    )
    write_label_check(run, check, _pictures(pixels, rows[:MAX_PICTURES]))
    return check


def _with_weights(recipe: Recipe) -> Recipe:
    """The recipe, or one that sees the same images through `quick`'s backbone, where it starts from nothing."""
    if recipe.backbone.weights != "none":
        return recipe
    quick = recipes.load("quick")
    return quick.model_copy(update={"data": recipe.data.model_copy(update={"image_size": quick.data.image_size})})


def _labeled(root: str, recipe: Recipe) -> Index:
    index = Dataset(root).scan(recipe.data)
    if index.masks or UNLABELED in index.labels:
        raise HeadstartError(
            f"{root}: expected labeled images, found {index.layout}", f"headstart check {quoted(root)}"
        )
    return index


def _judged(index: Index) -> Rows:
    """Rows of the classes that have an image for each fold."""
    count = np.bincount(index.labels, minlength=len(index.classes))
    return np.flatnonzero(count[np.array(index.labels)] >= FOLDS)


@torch.inference_mode()
def encode(recipe: Recipe, pixels: Pixels, rows: Rows, progress: Progress | None) -> NDArray[np.float32]:
    """Features of the images at ``rows``, float32 (N, F)."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    task: Task = task_named(recipe.task).build(recipe, pixels.index.classes)
    task.load_backbone(recipe.backbone)
    task.eval().to(device).to(memory_format=torch.channels_last)
    parts, done = [], 0
    for some in batches(rows, recipe.val.batch_size):
        images = eval_transform(pixels.batch(some, device), recipe.augment)
        parts.append(task.encode(images)[0].float().cpu().numpy())
        done += len(some)
        if progress is not None:
            progress(done, len(rows))
    return np.concatenate(parts)


def _rows(
    run: RunFolder, index: Index, judged: Rows, known: NDArray[np.int64], found: LabelErrors
) -> tuple[list[int], list[LabelToCheck]]:
    """Rows of the images to check, the most suspicious first, and what is written of each."""
    held_out = read_held_out(run, optional=True)
    given = "val" in index.splits
    rows, written = [], []
    for place in found.ranked[found.suspicious[found.ranked]]:
        row = int(judged[place])
        path = index.paths[row]
        split = index.splits[row] if given else held_out.get(path, "train")
        label, predicted = index.classes[index.labels[row]], index.classes[known[found.predicted[place]]]
        rows.append(row)
        written.append(LabelToCheck(path, split, label, predicted, float(found.ratio[place])))
    return rows, written


def _pictures(pixels: Pixels, rows: list[int]) -> Iterator[NDArray[np.uint8]]:
    """uint8 (H, W, 3) of each row, without padding."""
    for row in rows:
        height, width = pixels.sizes[row]
        yield pixels.batch([row])[0, :, :height, :width].permute(1, 2, 0).numpy()
