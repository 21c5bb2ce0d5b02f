"""Facts about each image file: one decoding pass for size, mode, content hash, thumbnail and what fails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headstart.data.checks.duplicate_sets import read_picture
from headstart.data.checks.duplicates import THUMBNAIL_SIDE
from headstart.data.decode import Unreadable, upright_size
from headstart.data.find_range import find_conversion
from headstart.data.index import Index
from headstart.data.parallel import Progress, map_ordered
from headstart.recipes.recipe import Data
from headstart.value_range import ValueRange


@dataclass(frozen=True)
class ImageInfo:
    """One image file that could be decoded."""

    content: str
    """BLAKE2b-128 of the file's bytes."""
    size: tuple[int, int]
    """Width and height in the file."""
    mode: str
    """Pillow's mode."""
    format: str
    """JPEG, PNG, ..."""
    rotated: bool
    """Whether EXIF asks for a rotation or mirroring."""
    upright: tuple[int, int] | None = None
    """Width and height after EXIF rotation; None: as `size`."""
    range: ValueRange | None = None
    """Values that become 0 and 255, of an image of more than 8 bits."""
    transparent: bool = False
    """Whether parts are transparent, and shown over white."""
    paged: bool = False
    """Whether the file holds further pages or frames."""


ImageInfos = Mapping[int, ImageInfo]
"""Row of the index -> its image, where it could be decoded."""
Failures = Mapping[int, tuple[str, str]]
"""Row of the index -> (kind, detail) of a file that could not be decoded."""


def read_image_infos(
    index: Index, progress: Progress | None = None, config: Data | None = None
) -> tuple[ImageInfos, NDArray[np.uint8], Failures]:
    """Decode every image of ``index`` once: infos, gray thumbnails uint8 (N, 32, 32), and failures.

    Images of more than 8 bits are scaled as training with ``config`` would (`find_range.find_conversion`).
    """
    infos: dict[int, ImageInfo] = {}
    failures: dict[int, tuple[str, str]] = {}
    thumbs = np.zeros((len(index), THUMBNAIL_SIDE, THUMBNAIL_SIDE), np.uint8)
    files = [index.root / path for path in index.paths]
    conversion = find_conversion(files, index.positions("train"), config or Data())

    def read_one(row: int) -> ImageInfo | Unreadable:
        try:
            picture, thumbs[row] = read_picture(index, files[row], conversion)
        except Unreadable as error:
            return error
        upright = upright_size(files[row])[::-1] if picture.rotated else picture.size
        facts = (picture.content, picture.size, picture.mode, picture.format, picture.rotated, upright)
        return ImageInfo(*facts, picture.range, picture.transparent, picture.paged)

    for row, result in map_ordered(len(index), read_one, progress):
        if isinstance(result, Unreadable):
            failures[row] = (result.kind, result.detail)
        else:
            infos[row] = result
    return infos, thumbs, failures
