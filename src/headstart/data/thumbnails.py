"""Thumbnails of images for the run folder, so that a report needs no other files."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence

import numpy as np
from PIL import Image

from headstart.data.pixels import Pixels

SIDE = 96


def thumbnails(pixels: Pixels, rows: Sequence[int]) -> bytes:
    """A zip file of JPEG thumbnails of at most 96 x 96 pixels: ``0.jpg`` for the first of ``rows``, and so on."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as zipped:
        for number, row in enumerate(rows):
            height, width = pixels.sizes[row]
            image = pixels.batch([row])[0, :, :height, :width]
            picture = Image.fromarray(np.ascontiguousarray(image.permute(1, 2, 0).numpy()))
            picture.thumbnail((SIDE, SIDE))
            jpeg = io.BytesIO()
            picture.save(jpeg, "JPEG", quality=80)
            zipped.writestr(f"{number}.jpg", jpeg.getvalue())
    return archive.getvalue()
