"""Several binary masks of an image, one file per class or object, combined into one mask of numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headstart.data.decode import Unreadable
from headstart.data.index import natural_key
from headstart.data.masks.cached_masks import BACKGROUND, CachedMasks, cached_masks, files_key
from headstart.data.masks.mask_file import read_mask_file, visible_pixels
from headstart.data.masks.orientation import read_header, turned
from headstart.data.memory import decoding
from headstart.data.parallel import Progress
from headstart.errors import HeadstartError

MAX_BETWEEN = 0.1
"""Largest share of pixels between a quarter and three quarters of the brightest: more are no soft edges."""

Parts = Mapping[str, Sequence[tuple[str, Path]]]
"""Image -> (class, binary mask file) of each of its masks."""


def combine_masks(
    parts: Parts, sizes: Mapping[str, tuple[int, int]] | None = None, progress: Progress | None = None
) -> CachedMasks:
    """Combine the binary masks of each image into one of numbers, in the cache.

    Files of one class are united. Where classes overlap, the later one in natural order wins. ``sizes`` (height,
    width): needed for images without any mask file, which are all background; those not in ``sizes`` are left out.
    The mask of an image with an unreadable file is that file: its use raises the error. Raises HeadstartError for
    files of one image that differ in size, and files that are not binary.
    """
    found = {name for some in parts.values() for name, _ in some}
    names = sorted((name for name in found if name.casefold() != BACKGROUND), key=natural_key)
    number_of = {name: number for number, name in enumerate(names, 1)}
    images = [image for image, some in parts.items() if some or image in (sizes or {})]

    def draw(image: str) -> tuple[NDArray[np.uint8], int] | Path:
        if not parts[image]:
            return np.zeros((sizes or {})[image], np.uint8), 0
        return _combine(parts[image], number_of)

    key = "\n".join(
        f"{image}\0{name}\0{files_key([file])}" for image in images for name, file in sorted(parts[image])
    ) + "".join(f"\n{image}\0{(sizes or {})[image]}" for image in images if not parts[image])
    return cached_masks(key, images, names, draw, progress)


def _combine(parts: Sequence[tuple[str, Path]], number_of: Mapping[str, int]) -> tuple[NDArray[np.uint8], int] | Path:
    """A mask, uint8 (H, W), and the pixels of more than one class; or the first file that cannot be read."""
    combined: NDArray[np.uint8] | None = None
    overlap: NDArray[np.bool_] | None = None
    order = sorted(parts, key=lambda part: (number_of.get(part[0], 0), part[1].name))
    for name, file in order:
        try:
            binary = read_binary(file)
        except Unreadable:
            return file
        if combined is None or overlap is None:
            combined, overlap = np.zeros(binary.shape, np.uint8), np.zeros(binary.shape, bool)
        if binary.shape != combined.shape:
            (h, w), (height, width) = binary.shape, combined.shape
            raise HeadstartError(
                f"{file}: expected the masks of an image to have one size, found {w} x {h} pixels, and"
                f" {width} x {height} in {order[0][1].name}",
                "resize one to the other, by nearest neighbor",
            )
        number = number_of.get(name, 0)
        if number:
            overlap |= binary & (combined != 0) & (combined != number)
            combined[binary] = number
    assert combined is not None
    assert overlap is not None
    return combined, int(overlap.sum())


@decoding()
def read_binary(file: Path) -> NDArray[np.bool_]:
    """A binary mask file to bool (H, W): what is painted, at least half as bright or opaque as the rest.

    Raises Unreadable, and HeadstartError for a file that is not binary.
    """
    mask = read_mask_file(file)
    bands = mask.bands if mask.bands.ndim == 2 else mask.bands.max(axis=2)
    visible = None
    if mask.alpha is not None and mask.alpha.min() < mask.alpha.max():
        visible = visible_pixels(mask.alpha)
        painted = bands[visible]
        # Paint of one color on transparent ground: what is visible is the object, whatever its color.
        bands = visible.astype(np.uint8) if painted.size and painted.min() == painted.max() else bands * visible
    elif mask.alpha is not None and not mask.alpha.any():
        bands = np.zeros_like(bands)
    highest = int(bands.max(initial=0))
    between = (4 * bands.astype(np.int16) > highest) & (4 * bands.astype(np.int16) < 3 * highest)
    if between.mean() > MAX_BETWEEN:
        values = len(np.unique(bands))
        raise HeadstartError(
            f"{file}: expected a binary mask, one of several of its image, found {values} numbers from 0 to {highest}",
            "keep one mask for each image, or one binary mask for each class",
        )
    painted = (2 * bands.astype(np.int16) >= max(1, highest)).astype(np.uint8)
    header = read_header(file)
    binary: NDArray[np.bool_] = turned(painted, 1 if header.turned else header.tag) > 0
    return binary
