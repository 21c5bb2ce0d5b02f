"""Semantic segmentation of image files: images of any size in tiles, masks in memory or in files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headstart.data.decode import Unreadable
from headstart.data.pairs import find_pairs
from headstart.data.parallel import Progress
from headstart.errors import HeadstartError
from headstart.inference.destination import refuse_foreign_masks
from headstart.inference.image_files import ImageFiles, Paths, as_list, find_images, with_hint
from headstart.inference.mask_writer import Bands, mask_names, overlay_name, write_mask
from headstart.inference.model import Model
from headstart.inference.raster import RasterImage, open_raster, raster_size
from headstart.inference.tiling import PredictFn, Tiling, flip_tta, predict_tiled
from headstart.palette import Palette

GPU_BATCH = 4
"""Tiles predicted at once on a GPU. A CPU is as fast with one, and needs less memory."""


@dataclass(frozen=True)
class MaskPredictions:
    """Predicted masks of some files."""

    palette: Palette
    files: tuple[Path, ...]
    """The readable files, in the order given."""
    masks: tuple[NDArray[np.uint8], ...]
    """(H, W) per file: positions in `Palette.names`."""
    unreadable: tuple[tuple[Path, str], ...]
    """(file, reason) of every file that could not be read."""
    others: tuple[Path, ...] = ()
    """Files in the folders that are no images."""


@dataclass(frozen=True)
class WriteResult:
    """Mask files written, and images that could not be read."""

    masks: tuple[Path, ...]
    unreadable: tuple[tuple[Path, str], ...]
    """(file, reason)."""
    others: tuple[Path, ...] = ()
    """Files in the folders that are no images."""


def find_rasters(paths: Paths) -> ImageFiles:
    """Expand folders, glob patterns and file names into image files, without the masks beside them in a folder.

    Raises HeadstartError for a path without images.
    """
    given = as_list(paths)
    found = find_images(given)
    masks: set[Path] = set()
    for folder in (Path(path) for path in given if Path(path).is_dir()):
        inside = {file.relative_to(folder).as_posix(): file for file in found.files if file.is_relative_to(folder)}
        pairs = find_pairs(list(inside))
        if pairs is not None:
            masks |= {inside[name] for name in inside.keys() - {*pairs.mask_of, *pairs.images_elsewhere}}
    return found.keep(file for file in found.files if file not in masks or file in map(Path, given))


def predict_masks(
    model: Model, files: Sequence[Path] | ImageFiles, *, flip: bool = False, progress: Progress | None = None
) -> MaskPredictions:
    """Predict the masks of image files, in memory. Unreadable files are skipped and listed with the reason.

    ``flip`` averages over mirror images (see `make_predict_fn`); ``progress`` counts tiles.
    """
    predicted: list[tuple[Path, NDArray[np.uint8]]] = []
    found = _as_found(files)

    def collect(number: int, _: RasterImage, mask: Bands) -> None:
        predicted.append((found.files[number], np.concatenate([rows for _, rows in mask])))

    palette = _require_palette(model)
    unreadable = _for_each_mask(model, found.files, collect, flip=flip, progress=progress)
    return MaskPredictions(
        palette,
        tuple(file for file, _ in predicted),
        tuple(mask for _, mask in predicted),
        (*unreadable, *found.unread),
        found.others,
    )


def write_masks(
    model: Model,
    files: Sequence[Path] | ImageFiles,
    *,
    out: Path,
    overlay: bool = False,
    flip: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> WriteResult:
    """Predict the masks of image files and write each into the folder ``out``, a band of rows at a time.

    ``overlay`` also writes the image under its mask; ``flip`` and ``progress`` are those of `predict_masks`. Raises
    HeadstartError, before anything is written, if two masks would have the same name (see `mask_names`), and unless
    ``overwrite`` for a file that exists and that headstart did not write.
    """
    found = _as_found(files)
    names, palette = mask_names(found.files, out), _require_palette(model)
    refuse_foreign_masks([*names, *(_overlays(names) if overlay else [])], overwrite)
    written: list[Path] = []

    def write(number: int, image: RasterImage, mask: Bands) -> None:
        write_mask(image, mask, palette, name=names[number], overlay=overlay)
        written.append(names[number])

    unreadable = _for_each_mask(model, found.files, write, flip=flip, progress=progress)
    return WriteResult(tuple(written), (*unreadable, *found.unread), found.others)


def _overlays(masks: Sequence[Path]) -> list[Path]:
    """The overlays that may be written beside masks."""
    suffixes = {".tif": [".tif"], ".png": [".jpg", ".png"]}
    return [overlay_name(mask, suffix) for mask in masks for suffix in suffixes[mask.suffix]]


def _as_found(files: Sequence[Path] | ImageFiles) -> ImageFiles:
    return files if isinstance(files, ImageFiles) else ImageFiles(tuple(files), tuple(map(str, files)))


def _require_palette(model: Model) -> Palette:
    if model.palette is None:
        raise HeadstartError(
            "write_masks: expected a run that predicts masks, found a classifier", "run.predict(images)"
        )
    return model.palette


def make_predict_fn(model: Model, *, flip: bool = False) -> PredictFn:
    """The function that predicts a batch of tiles; ``flip`` averages over the flips of the training augmentation.

    Raises HeadstartError for ``flip`` if training had none.
    """

    def predict_fn(images: Tensor) -> Tensor:
        return torch.from_numpy(model.probabilities(images))

    augment = model.recipe.augment
    if flip and not (augment.hflip or augment.vflip):
        raise HeadstartError(
            "--flip: expected a run trained with flips, found augment.hflip=0 and augment.vflip=0",
            "the same without --flip",
        )
    if not flip:
        return predict_fn
    return flip_tta(predict_fn, horizontal=bool(augment.hflip), vertical=bool(augment.vflip))


def _for_each_mask(
    model: Model,
    files: Sequence[Path],
    use: Callable[[int, RasterImage, Bands], object],
    *,
    flip: bool,
    progress: Progress | None,
) -> tuple[tuple[Path, str], ...]:
    """Call ``use(i, image, mask)`` for each readable file; return the unreadable ones with reasons.

    The mask is a generator: a band is predicted when ``use`` takes it.
    """
    predict_fn = make_predict_fn(model, flip=flip)
    tiling = Tiling(batch_size=1 if model.device.type == "cpu" else GPU_BATCH)
    ends = list(accumulate(tiling.count(*raster_size(file, model.conversion)) if progress else 0 for file in files))
    unreadable, done = [], 0

    def advance(tiles: int) -> None:
        nonlocal done
        done += tiles
        if progress is not None:
            progress(done, ends[-1])

    for number, file in enumerate(files):
        try:
            with open_raster(file, model.conversion) as image:
                size = (image.height, image.width)
                bands = predict_tiled(image.pixels, predict_fn, size=size, tiling=tiling, advance=advance)
                use(number, image, ((top, p.argmax(dim=0).to(torch.uint8).numpy()) for top, p in bands))
        except Unreadable as error:
            unreadable.append((file, with_hint(file, str(error))))
        advance(ends[number] - done)  # the tiles of an unreadable file count as done
    return tuple(unreadable)
