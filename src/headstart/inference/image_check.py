"""Are these images of the kind that a run was trained on? Its features and confidence for them, beside those stored."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from headstart.data.parallel import Progress
from headstart.data.streaming import stream
from headstart.errors import HeadstartError
from headstart.inference.image_files import ImageFiles, with_hint
from headstart.inference.model import Model, load_network
from headstart.metrics.neighbors import neighbor_distances
from headstart.metrics.sharpness import sharpness
from headstart.metrics.shift import LEVEL, OUTSIDE, Difference, differences, outside
from headstart.models.run_weights import read_weights
from headstart.runs.features import Features, read_features
from headstart.runs.folder import RunFolder
from headstart.runs.thumbnails import decode_thumbnail, read_thumbnails, thumbnail_of
from headstart.tasks import Batch
from headstart.transforms.augment import eval_transform

LEAST = 20
"""Images, new ones and validation images each: fewer could differ in anything without a test that says so."""
DISTANCE, CONFIDENCE, SHARPNESS = "distance to training images", "confidence", "sharpness"

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class ImageCheck:
    """What a run makes of N new images, beside its validation images."""

    run: Path
    validation: int
    """Validation images that they were compared with."""
    files: tuple[Path, ...]
    """The images that could be read."""
    names: tuple[str, ...]
    distance: Floats
    """(N,): mean cosine distance to the nearest training images in the run's features."""
    outside: NDArray[np.bool_]
    """(N,): whether it is farther away than 99 % of the validation images."""
    differences: tuple[Difference, ...]
    unreadable: tuple[tuple[Path, str], ...] = ()
    others: tuple[Path, ...] = ()

    @property
    def reasons(self) -> tuple[Difference, ...]:
        """The differences that are significant."""
        return tuple(each for each in self.differences if each.significant)

    @property
    def status(self) -> int:
        """Exit status: 1 where the images are of another kind, else 0."""
        return int(bool(self.reasons))

    @property
    def verdict(self) -> str:
        """The answer in a sentence."""
        count, names = len(self.files), [each.name for each in self.reasons]
        said = " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
        if self.reasons:
            return (
                f"These {count:,} images are not of the kind that {self.run} was validated on: they differ in {said}."
                f" (Images of the same kind raise this alarm in at most {LEVEL:.0%} of all checks.)"
            )
        return (
            f"No sign that these {count:,} images are of another kind than the {self.validation:,} validation images of"
            f" {self.run}. (Fewer images show less: a small difference needs hundreds.)"
        )

    def to_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "status": self.status,
            "verdict": self.verdict,
            "images": len(self.files),
            "validation_images": self.validation,
            "false_alarm_rate": LEVEL,
            "differences": [asdict(each) | {"significant": each.significant} for each in self.differences],
            "outside_share_expected": round(1 - OUTSIDE, 4),
            "files": [
                {"filename": name, "distance": round(float(distance), 6), "outside": bool(far)}
                for name, distance, far in zip(self.names, self.distance, self.outside, strict=True)
            ],
            "unreadable": [{"filename": str(file), "reason": reason} for file, reason in self.unreadable],
        }


def check_images(run: RunFolder, found: ImageFiles, *, progress: Progress | None = None) -> ImageCheck:
    """Compare images with a run's validation images, by the network after its last epoch, whose features are stored.

    Raises HeadstartError for a run that predicts masks or stored no features, and for too few images.
    """
    if run.palette is not None:
        raise HeadstartError(
            f"{run.path}: expected a run that classifies or learned without labels, found one that predicts masks",
            "headstart check IMAGES (how the folder is read)",
        )
    run.require_finished(False)
    stored = read_features(run, [run.recipe.train.epochs])
    (last,) = stored.epochs
    own, bank = compared_rows(stored)
    _require_enough("validation images", len(own), run.path)
    model = load_network(run)
    model.task.load_weights(read_weights(run, "last"))
    model.task.to(model.device)
    positions, features, probabilities, sharp, unreadable = encode(model, found, progress)
    _require_enough("images that can be read", len(positions), run.path)
    distances = neighbor_distances(last.features[own], last.features[bank])
    new_distances = neighbor_distances(features, last.features[bank])
    validation, new = {DISTANCE: distances}, {DISTANCE: new_distances}
    if model.classes:
        validation[CONFIDENCE], new[CONFIDENCE] = last.probabilities[own].max(axis=1), probabilities.max(axis=1)
    own_sharp = stored_sharpness(run, own)
    if len(own_sharp) == len(own):  # else the run has no pictures, or those of its worst mistakes alone
        validation[SHARPNESS], new[SHARPNESS] = own_sharp, sharp
    return ImageCheck(
        run=run.path,
        validation=len(own),
        files=tuple(found.files[place] for place in positions),
        names=tuple(found.names[place] for place in positions),
        distance=new_distances,
        outside=outside(distances, new_distances),
        differences=differences((last.features[own], features), validation, new),
        unreadable=(*unreadable, *found.unread),
        others=found.others,
    )


def compared_rows(stored: Features) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the validation images that are compared, and of those whose neighbors are looked for.

    The latter are the sample of the training images; every other validation image where a run stored none.
    """
    val, train = (np.flatnonzero(stored.splits == split) for split in ("val", "train"))
    return (val, train) if len(train) >= LEAST else (val[::2], val[1::2])


def stored_sharpness(run: RunFolder, rows: NDArray[np.int64]) -> Floats:
    """Sharpness of the thumbnails that a run stored of these rows of its features."""
    pictures = map(decode_thumbnail, read_thumbnails(run, rows.tolist()).values())
    return np.array([sharpness(np.asarray(picture)) for picture in pictures if picture is not None])


def sharpness_of(image: NDArray[np.uint8]) -> float:
    """Of a new image (H, W, 3), by way of the thumbnail that a run would store of it."""
    picture = decode_thumbnail(thumbnail_of(image))
    assert picture is not None
    return sharpness(np.asarray(picture))


def _require_enough(what: str, found: int, run: Path) -> None:
    if found < LEAST:
        raise HeadstartError(
            f"check {run}: expected at least {LEAST} {what}, found {found}",
            "more images" if "read" in what else "a run with more validation images (data.val_fraction)",
        )


@torch.inference_mode()
def encode(
    model: Model, found: ImageFiles, progress: Progress | None
) -> tuple[list[int], Floats, Floats, Floats, list[tuple[Path, str]]]:
    """(positions of readable files, their features, probabilities and sharpness, unreadable files with reasons)."""
    config, batch = model.recipe.data, model.recipe.val.batch_size
    positions: list[int] = []
    features, probabilities = [np.empty((0, model.task.features))], [np.empty((0, len(model.classes)))]
    unreadable: list[tuple[Path, str]] = []
    sharp: list[float] = []
    for places, pixels, failures in stream(found.files, config.image_size, config.resize, batch, model.conversion):
        if places:
            inputs = eval_transform(torch.from_numpy(pixels).to(model.device), model.recipe.augment)
            unlabeled = torch.full((len(inputs),), -1, device=model.device)
            with torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=model.mixed_precision):
                outputs = model.task.infer(Batch(inputs, unlabeled))
            features.append(outputs.features.cpu().numpy())
            probabilities.append(outputs.probabilities.cpu().numpy())
            sharp += [sharpness_of(image) for image in pixels.transpose(0, 2, 3, 1)]
        positions += places
        unreadable += [(found.files[place], with_hint(found.files[place], reason)) for place, reason in failures]
        if progress is not None:
            progress(len(positions) + len(unreadable), len(found.files))
    return positions, np.concatenate(features), np.concatenate(probabilities), np.array(sharp), unreadable
