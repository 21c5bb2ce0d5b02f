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

from headstart.data.formats import raster_formats
from headstart.data.masks.mask_file import numpy_size
from headstart.data.open_image import EXIF_ORIENTATION, TURNS, upright_size

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
    drawn, photo = read_header(mask), read_header(image)
    if drawn.tag != 1:
        # A tag that was copied into a mask drawn on the displayed picture: it fits only as it is.
        follows = drawn.upright == photo.upright or drawn.stored != photo.upright
        if follows or drawn.turned:
            return Turn(1 if drawn.turned else drawn.tag, "own tag", drawn.upright)
        return Turn(1, "as stored", drawn.stored)
    if photo.tag == 1 or drawn.stored != photo.stored:
        return Turn(1, "as stored", drawn.stored)
    if photo.stored != photo.upright:
        return Turn(photo.tag, "image's tag", photo.upright)
    return Turn(1, "unknown", drawn.stored)


def turned(array: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """(H, W, ...) as an EXIF orientation displays it, like Pillow's ``ImageOps.exif_transpose``."""
    return np.ascontiguousarray(TURNS[orientation](array) if orientation in TURNS else array)


class Header(NamedTuple):
    """Size and EXIF orientation of an image or mask."""

    stored: tuple[int, int]
    """Height and width as stored; (0, 0) for an unreadable file."""
    tag: int = 1
    """EXIF orientation, 1 to 8; 1: none."""
    turned: bool = False
    """Whether Pillow follows the tag as it decodes the file: it does for TIFF."""

    @property
    def upright(self) -> tuple[int, int]:
        """Height and width as the tag displays them."""
        height, width = self.stored
        return (width, height) if self.tag >= 5 else (height, width)


def read_header(file: Path) -> Header:
    """The header of an image or mask file; of an unreadable one, size (0, 0)."""
    if file.suffix.lower() == ".npy":
        return Header(numpy_size(file))
    if not file.is_file():  # a pipe would wait for ever
        return Header((0, 0))
    try:
        with Image.open(file, formats=raster_formats()) as image:
            in_header = image.format != "PNG" or "exif" in image.info  # else Pillow decodes a PNG to reach its EXIF
            tag = image.getexif().get(EXIF_ORIENTATION, 1) if in_header else 1
            size, turned_by_pillow = (image.height, image.width), image.format == "TIFF"
    except Exception:  # another format; or reading it raises what is wrong
        return Header(upright_size(file))
    tag = tag if tag in range(2, 9) else 1
    return Header(size[::-1] if turned_by_pillow and tag >= 5 else size, tag, turned_by_pillow and tag != 1)
