"""Resize decoded images to squares, or pad them to one size."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

Resize = Literal["squash", "crop", "pad", "keep"]


def resize_to_square(image: Image.Image, size: int, resize: Resize) -> NDArray[np.uint8]:
    """An RGB image resized to uint8 (3, size, size).

    ``squash`` is torchvision's ``Resize((size, size))``; ``crop`` is ``Resize(size)`` and ``CenterCrop(size)``;
    ``pad`` keeps the aspect ratio and pads with black.
    """
    filled: Image.Image
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


def pad_to(image: Image.Image, height: int, width: int) -> NDArray[np.uint8]:
    """An RGB image at the top left of uint8 (3, height, width), padded with black."""
    array = np.zeros((3, height, width), np.uint8)
    array[:, : image.height, : image.width] = np.asarray(image).transpose(2, 0, 1)
    return array
