"""Evaluate a run on labeled images or on image and mask pairs, with the same arithmetic as validation in `fit`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from headstart.data.checks.duplicate_sets import duplicate_sets
from headstart.data.dataset import Dataset, open_dataset
from headstart.data.index import UNLABELED, Index
from headstart.data.parallel import Progress
from headstart.data.pixels import Pixels, decode
from headstart.data.sampling import Rows, batches
from headstart.data.splits import make_val_split, with_stored_split
from headstart.errors import HeadstartError, did_you_mean, quoted
from headstart.inference.evaluate_masks import confusion_per_image, labeled_pairs, map_classes
from headstart.inference.model import Model, load_model
from headstart.metrics.bootstrap import numbered
from headstart.metrics.classification import ClassificationMetrics, classification_metrics
from headstart.metrics.segmentation import SegmentationMetrics, segmentation_metrics
from headstart.runs.folder import RunFolder
from headstart.runs.training_images import read_held_out, read_trained_on


@dataclass(frozen=True)
class Selection:
    """The images of a data set that an evaluation uses."""

    split: str
    """`val`, `test`, `train`, or `all` if the data has no split that the run knows."""
    paths: tuple[str, ...]
    """Relative to the data folder."""
    excluded: int
    """Images left out because the run was trained on them."""
    groups: tuple[int, ...] | None
    """The number of each image's group, over which intervals are; None where images are independent."""


@dataclass(frozen=True)
class Evaluation(Selection):
    """Predictions and ground truth of N labeled images."""

    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    """(N,): ground truth, positions in ``classes``."""
    probabilities: NDArray[np.float32]
    """(N, C): softmax probabilities."""

    @cached_property
    def metrics(self) -> ClassificationMetrics:
        """Accuracy, F1, log loss, calibration and more, with 95 % intervals over images or groups."""
        return classification_metrics(self.labels, self.probabilities, self.classes, groups=self.groups)


@dataclass(frozen=True)
class MaskEvaluation(Selection):
    """Predicted masks against true masks of N images."""

    classes: tuple[str, ...]
    confusion: NDArray[np.int64]
    """(N, K, K): pixels of each image by true class (row) and predicted class (column), without ignored pixels."""

    @cached_property
    def metrics(self) -> SegmentationMetrics:
        """IoU per class and mean IoU, Dice and pixel accuracy, with 95 % intervals over images or groups."""
        return segmentation_metrics(self.confusion, self.classes, groups=self.groups)


def evaluate(
    run: RunFolder,
    data: str | os.PathLike[str] | Dataset,
    *,
    split: str | None = None,
    unfinished: bool = False,
    progress: Progress | None = None,
) -> Evaluation | MaskEvaluation:
    """Evaluate the best weights of a run on ``data``: a `MaskEvaluation` for segmentation, else an `Evaluation`.

    ``split`` is `train`, `val`, `test` or `all`. By default it is the test split if there is one, else the validation
    split: the folder's own, or the one that `fit` made if these are the images it was made of; any other folder is
    evaluated whole. Images that the run was trained on are then recognized by the hash of their files and excluded.
    Images are matched to the run's classes by class name. ``unfinished`` allows the best weights so far.

    Raises HeadstartError for unlabeled data, for a class that the run does not have, and if no image is left.
    """
    model, dataset = load_model(run, unfinished=unfinished), open_dataset(data)
    root = dataset.root
    # Read and check the ground truth before anything is decoded.
    index = _labeled_index(model, run, dataset) if model.palette is None else labeled_pairs(model, run, dataset)
    class_map = None if model.palette is None else map_classes(run, index, root)
    # Decode, then select rows: which images are the run's own is known by their content.
    has_val = "val" in index.splits
    pixels = decode(index, model.recipe.data, progress, conversion=model.conversion)
    if not has_val:
        pixels = _with_made_split(run, pixels, model.recipe.data.val_fraction, split)
    chosen, rows, excluded = _select_eval_rows(run, pixels, split, has_val=has_val, data=root)
    paths = tuple(pixels.index.paths[row] for row in rows)
    numbers = numbered([pixels.index.groups[row] for row in rows])
    groups = None if numbers is None else tuple(numbers)
    if class_map is not None:
        confusion = confusion_per_image(model, pixels, rows=rows, class_map=class_map, progress=progress)
        return MaskEvaluation(chosen, paths, excluded, groups, model.classes, confusion)
    position = [model.classes.index(name) for name in pixels.index.classes]
    labels = np.array([position[pixels.index.labels[row]] for row in rows], dtype=np.int64)
    probabilities = _probabilities(model, pixels, rows, progress)
    return Evaluation(chosen, paths, excluded, groups, model.classes, labels, probabilities)


def _labeled_index(model: Model, run: RunFolder, data: Dataset) -> Index:
    """The labeled images of ``data``, all of classes that the run has."""
    index = data.scan(model.recipe.data)
    if UNLABELED in index.labels:
        raise HeadstartError(
            f"{data}: expected labeled images, found {index.layout}",
            f"headstart predict {quoted(run.path)} {quoted(data)}",
        )
    unknown = [name for name in index.classes if name not in model.classes]
    if unknown:
        raise HeadstartError(
            f"{data}: class {unknown[0]}: expected the classes of {run.path}, found one that it was not trained on;"
            f" {did_you_mean(unknown[0], model.classes)}",
            f"headstart check {quoted(data)}",
        )
    return index


def _with_made_split(run: RunFolder, pixels: Pixels, fraction: float, split: str | None) -> Pixels:
    """``pixels`` in the split that the run made of them; for other images, in the one that `fit` would make.

    The latter takes decoding, and is made only where a ``split`` of it was asked for.
    """
    fingerprint = run.data["fingerprint"]
    stored = with_stored_split(pixels, read_held_out(run), fingerprint)
    # Runs without a stored split are of earlier versions, whose split did not depend on duplicates.
    by_names = pixels.with_splits(make_val_split(pixels.index, fraction).splits)
    for candidate in (stored, by_names):
        if candidate.fingerprint == fingerprint:
            return candidate
    if split not in ("train", "val"):
        return by_names
    return pixels.with_splits(make_val_split(pixels.index, fraction, duplicate_sets(pixels.index)).splits)


def _probabilities(model: Model, pixels: Pixels, rows: Rows, progress: Progress | None) -> NDArray[np.float32]:
    """Softmax probabilities of some rows, float32 (N, C), in batches of `val.batch_size`."""
    outputs, done = [], 0
    for batch in batches(rows, model.recipe.val.batch_size):
        outputs.append(model.probabilities(pixels.batch(batch)))
        done += len(batch)
        if progress is not None:
            progress(done, len(rows))
    return np.concatenate(outputs)


def _select_eval_rows(
    run: RunFolder, pixels: Pixels, split: str | None, *, has_val: bool, data: str
) -> tuple[str, Rows, int]:
    """The split to evaluate, its rows, and the number of training images excluded.

    ``has_val``: whether the data came with a validation split. Raises HeadstartError if no image is left.
    """
    same_data = pixels.fingerprint == run.data["fingerprint"]
    chosen = split or ("test" if "test" in pixels.index.splits else "val" if has_val or same_data else "all")
    candidates = _rows_of(pixels.index, chosen, data)
    rows = candidates if split or same_data else _without_training_images(run, pixels, candidates, data)
    return chosen, rows, len(candidates) - len(rows)


def _rows_of(index: Index, split: str, data: str) -> Rows:
    rows = np.array(list(range(len(index))) if split == "all" else index.positions(split), dtype=np.int64)
    if not len(rows):
        available = ", ".join(sorted({*index.splits, "all"}))
        raise HeadstartError(
            f"{data}: expected images of the split {split}, found only {available}", "choose another --split"
        )
    return rows


def _without_training_images(run: RunFolder, pixels: Pixels, rows: Rows, data: str) -> Rows:
    trained_on = read_trained_on(run)
    left = np.array([row for row in rows if pixels.contents[row] not in trained_on], dtype=np.int64)
    if not len(left):
        raise HeadstartError(
            f"{data}: expected images that {run.path} was not trained on, found its {len(rows)} training images",
            f"headstart evaluate {quoted(run.path)} {quoted(data)} --split all",
        )
    return left
