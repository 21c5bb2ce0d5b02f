"""A run's masks as pictures for its page: image, truth, prediction and difference, over the epochs."""

from __future__ import annotations

import base64
import io
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
"""Pixels of the longer side of a picture on the page: the first with which all pictures fit."""
CHOSEN = 12
"""Images that are followed over the epochs, at the most."""
RIGHT, WRONG, IGNORED = 0, 1, 2
"""What a pixel of a difference is: clear, red or gray."""
MARKS = ((0, 0, 0, 0), (230, 30, 60, 255), (150, 150, 150, 215))
"""Red, green, blue and opacity of each."""

Mask = NDArray[np.uint8]


@dataclass(frozen=True)
class Answer:
    """What was predicted of an image after one epoch."""

    epoch: int
    """Counted from 1."""
    prediction: str
    """This and the next are data URLs."""
    difference: str
    miou: float
    """Mean IoU of the classes in this image; NaN where all of it is ignored."""
    right: float
    """Share of its pixels that are right, of those that count."""


@dataclass(frozen=True)
class Followed:
    """One image with its truth, and what was predicted of it."""

    name: str
    width: int
    height: int
    image: str
    """This and the next are data URLs."""
    truth: str
    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class MaskPictures:
    """All pictures of a page."""

    epochs: tuple[int, ...]
    """Counted from 1: those that the chosen images have an answer of."""
    chosen: tuple[Followed, ...]
    kept: Mapping[int, Followed]
    """By place among the validation images: those with an answer of the kept epoch."""


def mask_pictures(
    run: RunFolder, palette: Palette, filenames: Sequence[str], wanted: Sequence[int], kept: int | None, room: int
) -> MaskPictures:
    """The pictures that lie in the run's folder, as large as fit into ``room`` characters together.

    ``filenames`` are all validation images; ``wanted`` are those of them whose answer of the kept epoch is shown, and
    ``kept`` is that epoch (from 1). Raises HeadstartError for a damaged picture.
    """
    folder, names = _Folder.of(run, palette, kept), mask_names(filenames)
    asked = [*((None, name) for name in folder.chosen()), *((row, names[row]) for row in wanted)]
    for side in SIDES:
        left, found = room, []
        for row, name in asked:
            shown = folder.followed(name, side, kept if row is not None else None)
            if shown is None:
                continue
            left -= _length(shown)
            if left < 0:
                break
            found.append((row, shown))
        else:
            break  # all of them fit
    chosen = tuple(shown for row, shown in found if row is None)
    return MaskPictures(
        epochs=tuple(sorted({answer.epoch for shown in chosen for answer in shown.answers})),
        chosen=chosen,
        kept={row: shown for row, shown in found if row is not None},
    )


@dataclass(frozen=True)
class _Folder:
    """Where the pictures of a run lie."""

    path: Path
    palette: Palette
    places: Mapping[int, Sequence[Path]]
    """Epoch, counted from 1 -> folders with answers of it, the first to be looked into first."""

    @staticmethod
    def of(run: RunFolder, palette: Palette, kept: int | None) -> _Folder:
        return _Folder(run.path / "masks", palette, prediction_folders(run, kept))

    def chosen(self) -> list[str]:
        """Names of the images with answers of the epochs that were looked at, as many as are shown."""
        return sorted({file.stem for file in self.path.glob("epoch-*/*.png")})[:CHOSEN]

    def followed(self, name: str, side: int, only: int | None = None) -> Followed | None:
        """An image with what was predicted of it after each epoch, or ``only`` after one; None where files miss."""
        photo, truth = self.path / "images" / f"{name}.jpg", self.path / "truth" / f"{name}.png"
        there = [
            (epoch, next(file for place in places if (file := place / f"{name}.png").is_file()))
            for epoch, places in sorted(self.places.items())
            if only in (None, epoch) and any((place / f"{name}.png").is_file() for place in places)
        ]
        if not (there and photo.is_file() and truth.is_file()):
            return None
        true = read_mask(truth)
        height, width = true.shape
        size = _within(width, height, side)
        return Followed(
            name=name,
            width=size[0],
            height=size[1],
            image=_photograph(photo, size),
            truth=_painted(true, self.palette, size),
            answers=tuple(_answer(epoch, file, true, self.palette, size) for epoch, file in there),
        )


def _length(shown: Followed) -> int:
    """Characters of its pictures."""
    of_answers = sum(len(each.prediction) + len(each.difference) for each in shown.answers)
    return len(shown.image) + len(shown.truth) + of_answers


def _answer(epoch: int, file: Path, true: Mask, palette: Palette, size: tuple[int, int]) -> Answer:
    predicted, classes = read_mask(file), len(palette.classes)
    if predicted.shape != true.shape:
        raise HeadstartError(
            f"{file}: expected a mask of {true.shape[1]} x {true.shape[0]} pixels like its truth, found"
            f" {predicted.shape[1]} x {predicted.shape[0]}",
            "remove the file",
        )
    counts = true < classes
    confusion = np.bincount(
        true[counts].astype(np.int64) * classes + np.minimum(predicted[counts], classes - 1), minlength=classes**2
    ).reshape(classes, classes)
    difference = np.where(counts, np.where(true == predicted, RIGHT, WRONG), IGNORED).astype(np.uint8)
    return Answer(
        epoch=epoch,
        prediction=_painted(predicted, palette, size),
        difference=_url(_indexed(difference, MARKS, size), "PNG", bits=_bits(len(MARKS))),
        miou=float(mean_iou(confusion)),
        right=float(confusion.trace() / max(1, confusion.sum())),
    )


def _within(width: int, height: int, side: int) -> tuple[int, int]:
    """The largest size of these proportions within a square; nothing grows."""
    scale = min(1.0, side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _photograph(file: Path, size: tuple[int, int]) -> str:
    return _url(read_image(file).convert("RGB").resize(size, Image.Resampling.LANCZOS), "JPEG", quality=82)


def _painted(mask: Mask, palette: Palette, size: tuple[int, int]) -> str:
    """A mask in its classes' colors."""
    numbers = np.arange(len(palette.names) + 1, dtype=np.uint8)
    numbers[-1] = IGNORE_INDEX
    colors = [(*map(int, color), 255) for color in palette.colorize(numbers[None])[0]]
    return _url(_indexed(np.minimum(mask, len(palette.names)), colors, size), "PNG", bits=_bits(len(colors)))


def _indexed(values: Mask, colors: Sequence[tuple[int, ...]], size: tuple[int, int]) -> Image.Image:
    """A picture of few colors: each value's red, green, blue and opacity. Nothing is blended when it is made small."""
    picture = Image.fromarray(values, "P").resize(size, Image.Resampling.NEAREST)
    picture.putpalette([part for color in colors for part in color[:3]])
    opacity = bytes(color[3] for color in colors)
    if min(opacity) < 255:
        picture.info["transparency"] = opacity
    return picture


def _bits(colors: int) -> int:
    """Bits of a pixel that is one of so many colors."""
    return next(bits for bits in (1, 2, 4, 8) if colors <= 2**bits)


def _url(picture: Image.Image, kind: str, **settings: object) -> str:
    content = io.BytesIO()
    picture.save(content, kind, **settings)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(content.getvalue()).decode()}"
