"""Recorders: what a task has written beside metrics and weights, at the start, after epochs and at the end.

The set-up picks them by what the task learns from (`recorders_for`); the loop calls them and asks nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np
import torch
from numpy.typing import NDArray

from headstart.data.index import UNLABELED, Index
from headstart.data.pixels import Pixels
from headstart.errors import HeadstartError, did_you_mean
from headstart.files import Row
from headstart.metrics.segmentation import images_to_show
from headstart.models.class_activation import class_activation_maps
from headstart.palette import Palette
from headstart.recipes.recipe import Analysis
from headstart.runs.confusion import read_mask_confusions
from headstart.runs.features import write_epoch_features, write_feature_images
from headstart.runs.heat_maps import write_heat_maps
from headstart.runs.mask_snapshots import (
    BEST,
    TRUTH,
    epoch_folder,
    mask_names,
    write_image,
    write_mask,
    write_uncertainty,
)
from headstart.runs.predictions import confident_errors, read_predictions
from headstart.runs.thumbnails import write_thumbnails
from headstart.tasks import ModelOutput, Task
from headstart.training.compilation import uncompiled
from headstart.training.state import TrainState
from headstart.training.validate import embed_train_sample, knn_metrics
from headstart.transforms.augment import eval_transform

Image8 = NDArray[np.uint8]

DEFAULT_SNAPSHOTS = 4
"""Validation images whose masks are stored if `analysis.masks` names none."""


class Recorder:
    """Writes artifacts of a run. Every method does nothing unless a subclass says otherwise."""

    needs_best_weights = False
    """Whether `at_end` uses the best weights; they are then loaded into the task before."""

    def check(self, config: Analysis, index: Index) -> None:
        """Raise HeadstartError if ``config`` names what ``index`` does not hold. Called before images are decoded."""

    def at_start(self, training: TrainState) -> None:
        """Called in the new run folder, before the first step, on the first rank; again where its files are missing."""

    def at_epoch(self, training: TrainState, validation: ModelOutput) -> Row:  # noqa: ARG002
        """Called after each validation, on every rank; returns columns for the validation row of `metrics.csv`."""
        return {}

    def at_end(self, training: TrainState) -> None:
        """Called after the last epoch, on every rank."""


class FeatureRecorder(Recorder):
    """Writes thumbnails, and the features of validation images and a sample of the training images.

    A task that learns without labels gets ``knn`` and ``purity`` at every epoch: it has no accuracy.
    """

    def at_start(self, training: TrainState) -> None:
        pixels, index = training.pixels, training.pixels.index
        rows = [*index.positions("val"), *training.train_sample_rows.tolist()]
        if training.recipe.analysis.save_images:
            write_thumbnails(training.run, (_image(pixels, row) for row in rows))
        names = {UNLABELED: "", **dict(enumerate(index.classes))}
        write_feature_images(
            training.run,
            [index.paths[row] for row in rows],
            [index.splits[row] for row in rows],
            [names[index.labels[row]] for row in rows],
        )

    def at_epoch(self, training: TrainState, validation: ModelOutput) -> Row:
        due, unlabeled = _is_due(training), training.task.target == "none"
        if not (due or unlabeled):
            return {}
        sample, seconds = embed_train_sample(training)
        if due and training.fabric.is_global_zero:
            write_epoch_features(
                training.run,
                training.progress.epoch,
                torch.cat([validation.features, sample.features]).numpy(),
                torch.cat([validation.probabilities, sample.probabilities]).numpy(),
                seconds,
            )
        return knn_metrics(training, validation, sample) if unlabeled else {}


class HeatMapRecorder(Recorder):
    """Writes, at the end, heat maps of the predicted class for the most confident errors (`models.class_activation`).

    Only with `analysis.save_images`.
    """

    needs_best_weights = True

    def at_end(self, training: TrainState) -> None:
        predictions = read_predictions(training.run) if training.fabric.is_global_zero else None
        if predictions is None:
            return
        validation, errors = training.pixels.index.positions("val"), confident_errors(predictions)
        maps: dict[int, NDArray[np.float32]] = {}
        for row in errors:
            images = training.pixels.batch([validation[row]], training.fabric.device)
            inputs = eval_transform(images, training.recipe.augment, training.recipe.val.image_size)
            predicted = torch.tensor([predictions.probabilities[row].argmax()], device=inputs.device)
            task = training.task.eval()
            with training.fabric.autocast(), uncompiled():
                found = class_activation_maps(task.backbone, task.get_submodule("head"), inputs, predicted)
            if found is None:  # of a network whose maps are not known
                return
            maps[row] = found[0].cpu().numpy()
        write_heat_maps(training.run, maps)


class MaskRecorder(Recorder):
    """Writes ground truth and predicted masks of a few validation images; at the end those of the worst and the best,
    of what is confused most (`images_to_show`), and where the best weights are uncertain.

    Only with `analysis.save_images`.
    """

    needs_best_weights = True

    def check(self, config: Analysis, index: Index) -> None:
        validate_snapshot_names(index, config.masks)

    def at_start(self, training: TrainState) -> None:
        self._write_ground_truth(training, self._rows(training))

    def at_epoch(self, training: TrainState, validation: ModelOutput) -> Row:  # noqa: ARG002
        if _is_due(training) and training.fabric.is_global_zero:
            self._write_predictions(training, epoch_folder(training.progress.epoch), self._rows(training))
        return {}

    def at_end(self, training: TrainState) -> None:
        stored = read_mask_confusions(training.run) if training.fabric.is_global_zero else None
        if stored is None:
            return
        validation = training.pixels.index.positions("val")
        shown = images_to_show(stored.confusion)
        rows = list(dict.fromkeys([*self._rows(training), *(validation[place] for place in shown)]))
        self._write_ground_truth(training, rows)
        self._write_predictions(training, BEST, rows)

    def _rows(self, training: TrainState) -> list[int]:
        return snapshot_rows(training.pixels.index, training.recipe.analysis.masks)

    def _write_ground_truth(self, training: TrainState, rows: Sequence[int]) -> None:
        """Write the images at ``rows``, and their masks."""
        pixels = training.pixels
        for row, name in zip(rows, _file_names(pixels.index, rows), strict=True):
            write_image(training.run, name, _image(pixels, row))
            write_mask(training.run, TRUTH, name, _mask(pixels, row), _palette(pixels))

    def _write_predictions(self, training: TrainState, folder: str, rows: Sequence[int]) -> None:
        """Write what the network now predicts for the images at ``rows``."""
        pixels = training.pixels
        for row, name in zip(rows, _file_names(pixels.index, rows), strict=True):
            mask, entropy = _predicted_mask(training, _image(pixels, row))
            write_mask(training.run, folder, name, mask, _palette(pixels))
            if folder == BEST:
                write_uncertainty(training.run, name, entropy)


def recorders_for(task: type[Task], config: Analysis) -> tuple[Recorder, ...]:
    """The recorders of a task, in the order in which they are called."""
    if task.target == "mask" and config.save_images:
        return FeatureRecorder(), MaskRecorder()
    if task.target == "label" and config.save_images:
        return FeatureRecorder(), HeatMapRecorder()
    return (FeatureRecorder(),)


def validate_snapshot_names(index: Index, names: Sequence[str]) -> None:
    """Raise HeadstartError for a name in `analysis.masks` that no validation image has."""
    known = _rows_by_name(index)
    for name in names:
        if name not in known:
            stems = [PurePosixPath(index.paths[row]).stem for row in index.positions("val")]
            raise HeadstartError(
                f"analysis.masks {name}: expected a validation image, found none of this name;"
                f" {did_you_mean(name, stems)}",
                "analysis.masks=[], for the first few",
            )


def snapshot_rows(index: Index, names: Sequence[str]) -> list[int]:
    """Rows of the validation images of these (validated) names, or of the first `DEFAULT_SNAPSHOTS` without names."""
    if not names:
        return index.positions("val")[:DEFAULT_SNAPSHOTS]
    known = _rows_by_name(index)
    return list(dict.fromkeys(known[name] for name in names))


def _rows_by_name(index: Index) -> dict[str, int]:
    """Validation images by every name they may be given: ``0013``, ``0013_sat``, ``0013_sat.jpg``, the whole path."""
    named: dict[str, int] = {}
    for row in reversed(index.positions("val")):  # the first of images with equal names wins
        path = PurePosixPath(index.paths[row])
        named |= dict.fromkeys((str(path), path.name, path.stem, path.stem.removesuffix("_sat")), row)
    return named


def _is_due(training: TrainState) -> bool:
    """Whether the epoch under way is one of `analysis.epochs`."""
    return training.progress.epoch in training.recipe.analysis_epochs()


@torch.inference_mode()
def _predicted_mask(training: TrainState, image: Image8) -> tuple[Image8, NDArray[np.float32]]:
    """uint8 (H, W, 3) -> class index of each pixel, uint8 (H, W), and the entropy of its probabilities, 0 to 1."""
    batch = torch.from_numpy(image).permute(2, 0, 1).unsqueeze(0).to(training.fabric.device)
    batch = eval_transform(batch, training.recipe.augment)
    with training.fabric.autocast(), uncompiled():
        probabilities = training.task.eval().predict(batch)[0]
    mask: Image8 = probabilities.argmax(dim=0).to(torch.uint8).cpu().numpy()
    most = math.log(max(2, len(probabilities)))  # of equal probabilities
    entropy: NDArray[np.float32] = (torch.special.entr(probabilities.float()).sum(dim=0) / most).cpu().numpy()
    return mask, entropy


def _image(pixels: Pixels, row: int) -> Image8:
    """uint8 (H, W, 3), without padding."""
    height, width = pixels.sizes[row]
    return pixels.batch([row])[0, :, :height, :width].permute(1, 2, 0).numpy()


def _mask(pixels: Pixels, row: int) -> Image8:
    """uint8 (H, W), without padding."""
    height, width = pixels.sizes[row]
    return pixels.masks([row])[0, :height, :width].numpy()


def _file_names(index: Index, rows: Sequence[int]) -> list[str]:
    """`mask_names` of the validation images at ``rows``."""
    validation = index.positions("val")
    names = dict(zip(validation, mask_names(index.paths[row] for row in validation), strict=True))
    return [names[row] for row in rows]


def _palette(pixels: Pixels) -> Palette:
    palette = pixels.index.palette
    assert palette is not None
    return palette
