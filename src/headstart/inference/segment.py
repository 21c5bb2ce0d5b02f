"""Run + images -> a class for every pixel: images of any size in tiles, each mask written as the data set's own are."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headstart.data.decode import Unreadable
from headstart.data.pairs import find_pairs
from headstart.errors import HeadstartError
from headstart.inference.mask_writer import Bands, mask_names, write_mask
from headstart.inference.predict import Model, find_images
from headstart.inference.raster import RasterImage, open_scene, size_of
from headstart.inference.tiling import PredictFn, count, flip_tta, predict_tiled
from headstart.palette import Palette

SIDE, OVERLAP = 512, 128
"""Of tiles, in pixels: an image of this side or less is looked at as a whole."""
ON_GPU = 4
"""Tiles that a GPU is asked at once; a CPU is as quick with one, in less memory."""

Counting = Callable[[int, int], None]
"""Called with (tiles done, tiles in all)."""


@dataclass(frozen=True)
class MaskPredictions:
    """What a model says of some files, pixel by pixel."""

    palette: Palette
    files: tuple[Path, ...]
    """Those that could be read, in the order asked."""
    masks: tuple[NDArray[np.uint8], ...]
    """(H, W) of each: positions in `Palette.names`."""
    unreadable: tuple[tuple[Path, str], ...]
    """(file, reason)."""


@dataclass(frozen=True)
class WriteResult:
    """What became of some files."""

    masks: tuple[Path, ...]
    """The masks that were written."""
    unreadable: tuple[tuple[Path, str], ...]
    """(file, reason)."""


def find_rasters(places: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """The image files that folders, patterns and names mean, less the masks beside them in a folder.

    Raises HeadstartError for a place where there is none.
    """
    files: list[Path] = []
    for place in places:
        found, pairs = find_images([place]), None
        if Path(place).is_dir():
            pairs = find_pairs([file.relative_to(place).as_posix() for file in found])
        files += found if pairs is None else [Path(place) / name for name in (*pairs.mask_of, *pairs.images_elsewhere)]
    return files


def predict_masks(
    model: Model, files: Sequence[Path], flip: bool = False, progress: Counting | None = None
) -> MaskPredictions:
    """The masks of ``files``; those that cannot be read are named and left out.

    With ``flip`` the model's answers to an image and to its mirror images are averaged (`asking`).
    """
    found: list[tuple[Path, NDArray[np.uint8]]] = []

    def keep(number: int, _: RasterImage, mask: Bands) -> None:
        found.append((files[number], np.concatenate([rows for _, rows in mask])))

    unreadable = _look(model, files, flip, progress, keep)
    return MaskPredictions(
        _palette(model), tuple(file for file, _ in found), tuple(mask for _, mask in found), unreadable
    )


def write_masks(
    model: Model,
    files: Sequence[Path],
    out: Path,
    overlay: bool = False,
    flip: bool = False,
    progress: Counting | None = None,
) -> WriteResult:
    """Write the mask of each file into the folder ``out``, and with ``overlay`` the image under its mask.

    Raises HeadstartError, before anything is written, where two masks would have one name (`mask_names`).
    """
    names, palette = mask_names(files, out), _palette(model)
    written: list[Path] = []

    def write(number: int, scene: RasterImage, mask: Bands) -> None:
        write_mask(scene, mask, palette, names[number], overlay)
        written.append(names[number])

    unreadable = _look(model, files, flip, progress, write)
    return WriteResult(tuple(written), unreadable)


def _palette(model: Model) -> Palette:
    if model.palette is None:
        raise ValueError("expected a model that answers with masks, found one that answers with labels")
    return model.palette


def make_predict_fn(model: Model, flip: bool = False) -> PredictFn:
    """What ``model`` says of images; with ``flip`` averaged over those flips that its training images had.

    Raises HeadstartError where they had none.
    """

    def ask(images: Tensor) -> Tensor:
        return torch.from_numpy(model.probabilities(images))

    views = model.recipe.augment
    if flip and not (views.hflip or views.vflip):
        raise HeadstartError(
            "--flip: expected a run that was trained on mirrored images, found augment.hflip=0 and augment.vflip=0",
            "the same without --flip",
        )
    return flip_tta(ask, bool(views.hflip), bool(views.vflip)) if flip else ask


def _look(
    model: Model,
    files: Sequence[Path],
    flip: bool,
    progress: Counting | None,
    use: Callable[[int, RasterImage, Bands], object],
) -> tuple[tuple[Path, str], ...]:
    """Give ``use`` each file's number, image and mask, one after the other; returns (file, reason) of those unreadable.

    The mask comes as it is asked for, a band at a time.
    """
    ask, at_once = make_predict_fn(model, flip), 1 if model.device.type == "cpu" else ON_GPU
    ends = list(accumulate(count(*size_of(file), SIDE, OVERLAP) if progress else 0 for file in files))
    unreadable, done = [], 0

    def told(tiles: int) -> None:
        nonlocal done
        done += tiles
        if progress is not None:
            progress(done, ends[-1])

    for number, file in enumerate(files):
        try:
            with open_scene(file) as scene:
                bands = predict_tiled(scene.pixels, ask, scene.height, scene.width, SIDE, OVERLAP, at_once, told)
                use(number, scene, ((top, said.argmax(dim=0).to(torch.uint8).numpy()) for top, said in bands))
        except Unreadable as error:
            unreadable.append((file, str(error)))
        told(ends[number] - done)  # what an unreadable one would have taken
    return tuple(unreadable)
