"""The images that an export is checked on: validation images of the run, as they were decoded for it."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headstart.data.dataset import Dataset
from headstart.data.decode import Unreadable, read
from headstart.errors import HeadstartError, quoted
from headstart.inference.model import Model
from headstart.runs.folder import RunFolder

Bytes = NDArray[np.uint8]

MAX_CHECKED = 200
"""Images that an export is checked on, at most: spread evenly over the run's list."""
TILE = 512
"""Pixels a side of a larger image that a segmentation model is checked on: what `predict` gives the network at once."""


@dataclass(frozen=True)
class RunImages:
    """Files of one split of a run."""

    files: tuple[Path, ...]
    labels: tuple[int, ...]
    """Position of each file's class among the run's; -1 where it has none."""

    def __len__(self) -> int:
        return len(self.files)

    def some(self, most: int) -> RunImages:
        """At most so many of them, spread evenly."""
        if len(self) <= most:
            return self
        kept = np.linspace(0, len(self) - 1, most).round().astype(int)
        return RunImages(tuple(self.files[i] for i in kept), tuple(self.labels[i] for i in kept))


def images_of(run: RunFolder, split: str, data: str | os.PathLike[str] | None = None) -> RunImages:
    """The images of a split whose predictions or features the run stores, in its own data folder or in ``data``.

    Of the training images that is a sample. Raises HeadstartError if they are not there.
    """
    root, classes = os.fspath(data if data is not None else run.data["root"]), run.classes
    rows = [row for row in run.feature_images if row["split"] == split]
    if not rows and split == "val":
        rows = [{**row, "split": "val"} for row in run.predictions]
    if not rows:
        raise HeadstartError(
            f"{run.path}: expected the list of its {split} images, found none in features/images.csv", run.write_again
        )
    here = _folder_of(root, run)
    files = [here / row["filename"] for row in rows]
    missing = next((file for file in files if not file.is_file()), None)
    if missing is not None:
        raise HeadstartError(
            f"{missing}: expected an image that {run.path} was validated on, to check the export with, found no such"
            " file",
            f"headstart export {quoted(run.path)} FILE --data DATA (where its images are now)",
        )
    labels = [classes.index(row["label"]) if row["label"] in classes else -1 for row in rows]
    return RunImages(tuple(files), tuple(labels))


def _folder_of(root: str, run: RunFolder) -> Path:
    """The folder that the paths of a data set are relative to: that of a table, or of images that it names."""
    first = run.feature_images[:1] or run.predictions[:1]
    if not any((Path(root) / row["filename"]).is_file() for row in first):
        with suppress(HeadstartError):
            return Dataset(root).scan(run.recipe.data).root
    return Path(root)


def decoded(model: Model, file: Path, *, whole: bool = False) -> Bytes | None:
    """One image as a decoder gives it, before it is resized: uint8 (H, W, 3); None for an unreadable file.

    A large JPEG is decoded at a fraction of its size, as for training and prediction, unless ``whole``. For
    segmentation it is the image, or the top left of a larger one.
    """
    config = model.recipe.data
    side = None if whole or config.resize == "keep" else config.image_size
    try:
        rgb = read(file, enough_for=side, conversion=model.conversion).rgb
    except Unreadable:
        return None
    pixels = np.asarray(rgb)
    return np.ascontiguousarray(pixels[:TILE, :TILE] if config.resize == "keep" else pixels)
