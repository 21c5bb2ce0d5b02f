"""Stored masks of a run, and images of them for a page: photo, ground truth and prediction by the saved checkpoint."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headstart.errors import HeadstartError
from headstart.palette import IGNORE_INDEX, Palette
from headstart.report.page import data_url
from headstart.runs.folder import RunFolder
from headstart.runs.mask_snapshots import UNCERTAINTY, mask_names, prediction_folders, read_image, read_mask

SIDES = (384, 300, 224, 160, 112, 80)
"""Pixels of the longer side of an image on the page: the first with which all images fit is used."""
MAX_EXAMPLES = 12
"""Images with predictions of several epochs, at the most."""

Mask = NDArray[np.uint8]
Size = tuple[int, int]
Key = TypeVar("Key")
T = TypeVar("T")


@dataclass(frozen=True)
class StoredImage:
    """An image of `masks/`."""

    name: str
    photo: Image.Image
    truth: Mask
    """(H, W), as each of ``predictions``."""
    predictions: Mapping[int, Mask]
    """By epoch, counted from 1."""
    uncertainty: Mask | None
    """Of the saved checkpoint: 0 to `mask_snapshots.STEPS`, not of the size of the others."""

    def size(self, side: int) -> Size:
        """The largest (width, height) with its aspect ratio within a square; never larger than the image."""
        height, width = self.truth.shape
        scale = min(1.0, side / max(width, height))
        return max(1, round(width * scale)), max(1, round(height * scale))

    def photo_url(self, size: Size) -> str:
        """The photo as a data URL."""
        content = io.BytesIO()
        self.photo.convert("RGB").resize(size, Image.Resampling.LANCZOS).save(content, "JPEG", quality=82)
        return data_url("jpeg", content.getvalue())


@dataclass(frozen=True)
class StoredMasks:
    """The folder `masks/` of a run."""

    run: RunFolder
    path: Path
    folders: Mapping[int, Sequence[Path]]
    """Epoch, counted from 1 -> folders with predictions of it, in order of preference."""

    @staticmethod
    def of(run: RunFolder, kept: int | None) -> StoredMasks:
        """The masks of ``run``; ``kept`` is the epoch of its checkpoint, from 1."""
        return StoredMasks(run, run.path / "masks", prediction_folders(run, kept))

    def over_epochs(self) -> list[str]:
        """Names of the images with predictions of single epochs, `MAX_EXAMPLES` at the most."""
        return sorted({file.stem for file in self.path.glob("epoch-*/*.png")})[:MAX_EXAMPLES]

    def image(self, name: str, only: int | None = None) -> StoredImage | None:
        """An image with its predictions after each epoch, or after epoch ``only``; None where files are missing.

        Raises HeadstartError for a damaged file.
        """
        photo, truth = self.path / "images" / f"{name}.jpg", self.path / "truth" / f"{name}.png"
        files = {}
        for epoch, folders in sorted(self.folders.items()):
            existing = [file for folder in folders if os.path.lexists(file := folder / f"{name}.png")]
            if existing and only in (None, epoch):
                files[epoch] = existing[0]
        if not (files and os.path.lexists(photo) and os.path.lexists(truth)):  # no name of the index is too long for it
            return None
        targets, unsure = read_mask(self.run, truth), self.path / UNCERTAINTY / f"{name}.png"
        return StoredImage(
            name=name,
            photo=read_image(self.run, photo),
            truth=targets,
            predictions={epoch: self._prediction(file, targets) for epoch, file in files.items()},
            uncertainty=read_mask(self.run, unsure) if os.path.lexists(unsure) else None,
        )

    def _prediction(self, file: Path, targets: Mask) -> Mask:
        predicted = read_mask(self.run, file)
        if predicted.shape != targets.shape:
            raise HeadstartError(
                f"{file}: expected a mask of {targets.shape[1]} x {targets.shape[0]} pixels like its truth, found"
                f" {predicted.shape[1]} x {predicted.shape[0]}",
                "remove the file",
            )
        return predicted


@dataclass(frozen=True)
class Example:
    """One image with its ground truth and prediction."""

    name: str
    width: int
    height: int
    image: str
    """This and the next are data URLs."""
    truth: str
    prediction: str


def mask_images(
    run: RunFolder, palette: Palette, filenames: Sequence[str], rows: Sequence[int], kept: int | None, characters: int
) -> dict[int, Example]:
    """Images of ``rows`` with the predictions of the saved checkpoint, as large as fit into ``characters`` together.

    ``filenames`` are all validation images, ``kept`` the checkpoint's epoch (from 1). Raises HeadstartError for a
    damaged image.
    """
    stored, names = StoredMasks.of(run, kept), mask_names(filenames)

    def encoded(row: int, side: int) -> tuple[Example, int] | None:
        found = stored.image(names[row], kept)
        if found is None:
            return None
        size = found.size(side)
        masks = [_mask_url(mask, palette, size) for mask in (found.truth, *found.predictions.values())]
        example = Example(found.name, *size, found.photo_url(size), masks[0], masks[-1])
        return example, len(example.image) + sum(map(len, masks))

    return fitting(rows, encoded, characters, SIDES)


def fitting(
    keys: Sequence[Key], encoded: Callable[[Key, int], tuple[T, int] | None], characters: int, sides: Sequence[int]
) -> dict[Key, T]:
    """What ``encoded`` makes of each key at the largest of ``sides`` with which all fit; at the smallest, what fits.

    ``encoded`` gives a value with its number of characters, or None where there is nothing.
    """
    found: dict[Key, T] = {}
    for side in sides:
        found, left = {}, characters
        for key in keys:
            made = encoded(key, side)
            if made is None:
                continue
            left -= made[1]
            if left < 0:
                break
            found[key] = made[0]
        if left >= 0:
            break
    return found


def _mask_url(mask: Mask, palette: Palette, size: Size) -> str:
    """A mask in the colors of its classes; resized by nearest neighbor, so that no classes are blended."""
    numbers = np.arange(len(palette.names) + 1, dtype=np.uint8)
    numbers[-1] = IGNORE_INDEX
    image = Image.fromarray(np.minimum(mask, len(palette.names)), "P").resize(size, Image.Resampling.NEAREST)
    image.putpalette(palette.colorize(numbers[None])[0].tobytes())
    content = io.BytesIO()
    image.save(content, "PNG", bits=next(bits for bits in (1, 2, 4, 8) if len(numbers) <= 2**bits))
    return data_url("png", content.getvalue())
