"""Orientation of masks: a photograph that EXIF turns, and a mask that was drawn on it as stored or as displayed.

Images are read upright. A mask with an EXIF orientation of its own follows it; one without is turned along with its
image where only then the two fit. Where both ways fit (a square, 180 degrees, a mirror image) nothing tells.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headstart.data.decode import EXIF_ORIENTATION, upright_size
from headstart.data.masks.mask_file import numpy_size

Origin = Literal["as stored", "own tag", "image's tag", "unknown"]


class Turn(NamedTuple):
    """How a mask is turned to lie on its upright image."""

    orientation: int = 1
    """EXIF orientation that is applied to the mask, 1 to 8; 1: none."""
    origin: Origin = "as stored"
    """Why: the mask's own tag, its image's tag, or ``unknown``: both ways fit, and the mask is left as stored."""
    size: tuple[int, int] = (0, 0)
    """Height and width of the mask so turned; (0, 0) for an unreadable file."""


def turn_of(image: Path, mask: Path) -> Turn:
    """The turn of ``mask``, from the headers of both files."""
    (stored, own), (image_stored, tag) = stored_orientation(mask), stored_orientation(image)
    upright = _turned_size(image_stored, tag)
    if own != 1:
        # A tag that was copied into a mask drawn on the displayed picture: it fits only as it is.
        follows = _turned_size(stored, own) == upright or stored != upright
        return Turn(own, "own tag", _turned_size(stored, own)) if follows else Turn(1, "as stored", stored)
    if tag == 1 or stored != image_stored:
        return Turn(1, "as stored", stored)
    if image_stored != upright:
        return Turn(tag, "image's tag", upright)
    return Turn(1, "unknown", stored)


def turned(array: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """(H, W, ...) as an EXIF orientation displays it, like Pillow's ``ImageOps.exif_transpose``."""
    array = array.swapaxes(0, 1) if orientation >= 5 else array
    array = array[::-1] if orientation in (3, 4, 7, 8) else array
    array = array[:, ::-1] if orientation in (2, 3, 6, 7) else array
    return np.ascontiguousarray(array)


def _turned_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    return (size[1], size[0]) if orientation >= 5 else size


def stored_orientation(file: Path) -> tuple[tuple[int, int], int]:
    """Height and width of an image or mask as stored, and its EXIF orientation; (0, 0) and 1 for an unreadable file."""
    if file.suffix.lower() == ".npy":
        return numpy_size(file), 1
    upright = upright_size(file)
    try:
        with Image.open(file) as image:
            in_header = image.format != "PNG" or "exif" in image.info  # else Pillow decodes a PNG to reach its EXIF
            orientation = image.getexif().get(EXIF_ORIENTATION, 1) if in_header else 1
    except Exception:  # reading it raises what is wrong
        return upright, 1
    orientation = orientation if orientation in range(2, 9) else 1
    return _turned_size(upright, orientation), orientation
