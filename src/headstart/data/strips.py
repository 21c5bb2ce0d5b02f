"""Images in strips of rows, so that what is made of a large one takes no copy of the whole beside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PIXELS = 1 << 22
"""Pixels of a strip."""


def strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """(row of its top, strip) of a loaded image; a small image is its own only strip."""
    if image.width * image.height <= PIXELS:
        yield 0, image
        return
    rows = max(1, PIXELS // image.width)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def blocks(shape: tuple[int, ...], overlap: int = 0) -> Iterator[slice]:
    """Rows of an array in blocks of at most `PIXELS` pixels, each with the first ``overlap`` rows of the next."""
    rows = max(1, PIXELS // max(1, shape[1]))
    for top in range(0, shape[0], rows):
        yield slice(top, min(top + rows + overlap, shape[0]))


def pixels_of(image: Image.Image) -> NDArray[Any]:
    """``np.asarray(image)``, which for a moment takes three times the memory of the array."""
    if image.width * image.height <= PIXELS:
        return np.asarray(image)
    found: NDArray[Any] | None = None
    for top, strip in strips(image):
        part = np.asarray(strip)
        if found is None:
            found = np.empty((image.height, *part.shape[1:]), part.dtype)
        found[top : top + len(part)] = part
    assert found is not None, "an image has rows"
    return found
