"""Masks of a run as images for its page: photo, ground truth, prediction and difference, over the epochs."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headstart.errors import HeadstartError
from headstart.metrics.segmentation import mean_iou
from headstart.palette import IGNORE_INDEX, Palette
from headstart.runs.folder import RunFolder
from headstart.runs.mask_snapshots import mask_names, prediction_folders, read_image, read_mask

SIDES = (384, 300, 224, 160, 112, 80)
"""Pixels of the longer side of an image on the page: the first with which all images fit is used."""
MAX_EXAMPLES = 12
"""Images shown over the epochs, at the most."""
CORRECT, WRONG, IGNORED = 0, 1, 2
"""Values of a difference image: clear, red or gray."""
DIFFERENCE_COLORS = ((0, 0, 0, 0), (230, 30, 60, 255), (150, 150, 150, 215))
"""Red, green, blue and opacity of each value."""

Mask = NDArray[np.uint8]


@dataclass(frozen=True)
class EpochPrediction:
    """The prediction for an image after one epoch."""

    epoch: int
    """Counted from 1."""
    prediction: str
    """This and the next are data URLs."""
    difference: str
    miou: float
    """Mean IoU of the classes in this image; NaN where all of it is ignored."""
    accuracy: float
    """Pixel accuracy, ignored pixels left out."""


@dataclass(frozen=True)
class Example:
    """One image with its ground truth and predictions."""

    name: str
    width: int
    height: int
    image: str
    """This and the next are data URLs."""
    truth: str
    predictions: tuple[EpochPrediction, ...]

    @property
    def characters(self) -> int:
        """Characters of its data URLs."""
        of_predictions = sum(len(each.prediction) + len(each.difference) for each in self.predictions)
        return len(self.image) + len(self.truth) + of_predictions


@dataclass(frozen=True)
class MaskImages:
    """All mask images of a page."""

    epochs: tuple[int, ...]
    """Counted from 1: those with predictions for ``over_epochs``."""
    over_epochs: tuple[Example, ...]
    best: Mapping[int, Example]
    """By row among the validation images: the predictions of the saved checkpoint."""


def mask_images(
    run: RunFolder, palette: Palette, filenames: Sequence[str], rows: Sequence[int], kept: int | None, characters: int
) -> MaskImages:
    """The mask images in the run folder, as large as fit into ``characters`` characters together.

    ``filenames`` are all validation images, ``rows`` those of them to show with the predictions of the saved
    checkpoint, ``kept`` the checkpoint's epoch (from 1). Raises HeadstartError for a damaged image.
    """
    folder, names = _MaskFolder.of(run, palette, kept), mask_names(filenames)
    requests = [*(_Request(name) for name in folder.examples()), *(_Request(names[row], row, kept) for row in rows)]
    encoded = _encode_to_fit(folder, requests, characters)
    over_epochs = tuple(example for request, example in encoded if request.row is None)
    return MaskImages(
        epochs=tuple(sorted({each.epoch for example in over_epochs for each in example.predictions})),
        over_epochs=over_epochs,
        best={request.row: example for request, example in encoded if request.row is not None},
    )


@dataclass(frozen=True)
class _Request:
    """An image to encode: over all epochs, or as ``row`` of the validation images after ``epoch`` only."""

    name: str
    row: int | None = None
    epoch: int | None = None


def _encode_to_fit(
    folder: _MaskFolder, requests: Sequence[_Request], characters: int
) -> list[tuple[_Request, Example]]:
    """Encode all images at the largest of `SIDES` with which they fit; at the smallest, as many as fit."""
    encoded: list[tuple[_Request, Example]] = []
    for side in SIDES:
        encoded, complete = _encode(folder, requests, side, characters)
        if complete:
            break
    return encoded


def _encode(
    folder: _MaskFolder, requests: Sequence[_Request], side: int, characters: int
) -> tuple[list[tuple[_Request, Example]], bool]:
    """Encode images in order until ``characters`` are used up; and whether all of them fitted."""
    encoded: list[tuple[_Request, Example]] = []
    for request in requests:
        example = folder.example(request.name, side, request.epoch)
        if example is None:
            continue
        characters -= example.characters
        if characters < 0:
            return encoded, False
        encoded.append((request, example))
    return encoded, True


@dataclass(frozen=True)
class _MaskFolder:
    """The folder `masks/` of a run."""

    run: RunFolder
    path: Path
    palette: Palette
    folders: Mapping[int, Sequence[Path]]
    """Epoch, counted from 1 -> folders with predictions of it, in order of preference."""

    @staticmethod
    def of(run: RunFolder, palette: Palette, kept: int | None) -> _MaskFolder:
        return _MaskFolder(run, run.path / "masks", palette, prediction_folders(run, kept))

    def examples(self) -> list[str]:
        """Names of the images with predictions of single epochs, `MAX_EXAMPLES` at the most."""
        return sorted({file.stem for file in self.path.glob("epoch-*/*.png")})[:MAX_EXAMPLES]

    def example(self, name: str, side: int, only: int | None = None) -> Example | None:
        """An image with its predictions after each epoch, or after epoch ``only``; None where files are missing."""
        photo, truth = self.path / "images" / f"{name}.jpg", self.path / "truth" / f"{name}.png"
        files = {}
        for epoch, folders in sorted(self.folders.items()):
            existing = [file for folder in folders if os.path.lexists(file := folder / f"{name}.png")]
            if existing and only in (None, epoch):
                files[epoch] = existing[0]
        if not (files and os.path.lexists(photo) and os.path.lexists(truth)):  # no name of the index is too long for it
            return None
        targets = read_mask(self.run, truth)
        height, width = targets.shape
        size = _within(width, height, side)
        return Example(
            name=name,
            width=size[0],
            height=size[1],
            image=_photo_url(self.run, photo, size),
            truth=_mask_url(targets, self.palette, size),
            predictions=tuple(
                _prediction(self.run, epoch, file, targets, self.palette, size) for epoch, file in files.items()
            ),
        )


def _prediction(
    run: RunFolder, epoch: int, file: Path, targets: Mask, palette: Palette, size: tuple[int, int]
) -> EpochPrediction:
    predicted, classes = read_mask(run, file), len(palette.classes)
    if predicted.shape != targets.shape:
        raise HeadstartError(
            f"{file}: expected a mask of {targets.shape[1]} x {targets.shape[0]} pixels like its truth, found"
            f" {predicted.shape[1]} x {predicted.shape[0]}",
            "remove the file",
        )
    valid = targets < classes
    confusion = np.bincount(
        targets[valid].astype(np.int64) * classes + np.minimum(predicted[valid], classes - 1), minlength=classes**2
    ).reshape(classes, classes)
    difference = np.where(valid, np.where(targets == predicted, CORRECT, WRONG), IGNORED).astype(np.uint8)
    return EpochPrediction(
        epoch=epoch,
        prediction=_mask_url(predicted, palette, size),
        difference=_url(_indexed(difference, DIFFERENCE_COLORS, size), "PNG", bits=_bits(len(DIFFERENCE_COLORS))),
        miou=float(mean_iou(confusion)),
        accuracy=float(confusion.trace() / max(1, confusion.sum())),
    )


def _within(width: int, height: int, side: int) -> tuple[int, int]:
    """The largest (width, height) with this aspect ratio within a square; never larger than the image."""
    scale = min(1.0, side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _photo_url(run: RunFolder, file: Path, size: tuple[int, int]) -> str:
    return _url(read_image(run, file).convert("RGB").resize(size, Image.Resampling.LANCZOS), "JPEG", quality=82)


def _mask_url(mask: Mask, palette: Palette, size: tuple[int, int]) -> str:
    """A mask in the colors of its classes."""
    numbers = np.arange(len(palette.names) + 1, dtype=np.uint8)
    numbers[-1] = IGNORE_INDEX
    colors = [(*map(int, color), 255) for color in palette.colorize(numbers[None])[0]]
    return _url(_indexed(np.minimum(mask, len(palette.names)), colors, size), "PNG", bits=_bits(len(colors)))


def _indexed(values: Mask, colors: Sequence[tuple[int, ...]], size: tuple[int, int]) -> Image.Image:
    """An indexed image, a color (RGBA) per value; resized by nearest neighbor, so that no classes are blended."""
    image = Image.fromarray(values, "P").resize(size, Image.Resampling.NEAREST)
    image.putpalette([part for color in colors for part in color[:3]])
    opacity = bytes(color[3] for color in colors)
    if min(opacity) < 255:
        image.info["transparency"] = opacity
    return image


def _bits(colors: int) -> int:
    """Bits per pixel for so many colors."""
    return next(bits for bits in (1, 2, 4, 8) if colors <= 2**bits)


def _url(image: Image.Image, kind: str, **options: object) -> str:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(content.getvalue()).decode()}"
