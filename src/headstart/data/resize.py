"""Resize decoded images to squares, or pad them to one size."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

Resize = Literal["squash", "crop", "pad", "keep"]
MAX_LONG_SIDE, MAX_BYTES = 1 << 18, 1 << 28
"""Longest side of an image, and memory, that resizing is given: Pillow keeps weights for each pixel of a side, and
resizes all rows before it resizes the columns."""


def without_extremes(image: Image.Image, side: int) -> Image.Image:
    """``image`` with a long side reduced by a whole number, where resizing to ``side`` takes more than `MAX_BYTES`."""
    most = min(MAX_LONG_SIDE, MAX_BYTES // (4 * side))
    across, down = (max(1, each // most) for each in image.size)
    return image.reduce((across, down)) if across > 1 or down > 1 else image


def resize_to_square(image: Image.Image, size: int, resize: Resize) -> NDArray[np.uint8]:
    """An RGB image resized to uint8 (3, size, size).

    ``squash`` is torchvision's ``Resize((size, size))``; ``crop`` is ``Resize(size)`` and ``CenterCrop(size)``;
    ``pad`` keeps the aspect ratio and pads with black.
    """
    filled: Image.Image
    if resize == "crop":
        image = _without_ends(image, max(16, MAX_BYTES // (4 * size * size)))
    image = without_extremes(image, size)
    if resize == "squash":
        filled = image.resize((size, size), Image.Resampling.BILINEAR)
    elif resize == "crop":
        width, height = (size * side // min(image.size) for side in image.size)
        left, top = round((width - size) / 2), round((height - size) / 2)
        resized = image.resize((width, height), Image.Resampling.BILINEAR)
        filled = resized.crop((left, top, left + size, top + size))
    else:
        filled = ImageOps.pad(image, (size, size), Image.Resampling.BILINEAR)
    return np.ascontiguousarray(np.asarray(filled).transpose(2, 0, 1))


def _without_ends(image: Image.Image, aspect: int) -> Image.Image:
    """The middle of an image that is longer than ``aspect``: resized as a whole it would be larger still."""
    most = aspect * min(image.size)
    if max(image.size) <= most:
        return image
    width, height = (min(each, most) for each in image.size)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def pad_to(image: Image.Image, height: int, width: int) -> NDArray[np.uint8]:
    """An RGB image at the top left of uint8 (3, height, width), padded with black."""
    array = np.zeros((3, height, width), np.uint8)
    array[:, : image.height, : image.width] = np.asarray(image).transpose(2, 0, 1)
    return array
