"""`thumbnails.zip`: small copies of the images in `features/images.csv`, so that a report needs only the run folder.

JPEG files of at most 96 x 96 pixels; ``0.jpg`` is the first row of `features/images.csv`, and so on.
"""

from __future__ import annotations

import io
import itertools
import zipfile
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headstart.runs.folder import RunFolder

NAME = "thumbnails.zip"
SIDE = 96
MAX_ENTRY = 1 << 17
"""Bytes of a thumbnail; an entry of a foreign archive may unfold to a thousand times its size."""


def write_thumbnails(
    run: RunFolder, images: Iterable[NDArray[np.uint8]], rows: Sequence[int] | None = None, name: str = NAME
) -> None:
    """Write thumbnails of ``images``, uint8 (H, W, 3) each, of ``rows`` of `features/images.csv`; None: all.

    ``name`` is that of the archive, whose rows another module may define.
    """
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as zipped:
        for row, image in zip(itertools.count() if rows is None else rows, images, strict=False):
            # Without the time, so that the archive is the same whenever it is written.
            zipped.writestr(zipfile.ZipInfo(f"{row}.jpg"), thumbnail_of(image))
    run.write(name, archive.getvalue())


def thumbnail_of(image: NDArray[np.uint8]) -> bytes:
    """The thumbnail of an image (H, W, 3), as a JPEG file."""
    picture = Image.fromarray(np.ascontiguousarray(image))
    picture.thumbnail((SIDE, SIDE))
    jpeg = io.BytesIO()
    picture.save(jpeg, "JPEG", quality=80)
    return jpeg.getvalue()


def read_thumbnails(run: RunFolder, rows: Iterable[int], name: str = NAME) -> dict[int, bytes]:
    """Row of `features/images.csv` -> JPEG bytes, of those ``rows`` that have a thumbnail.

    Empty for a run without thumbnails (`analysis.save_images=false`): a report does without. Raises HeadstartError for
    an archive that is not the one that was written.
    """
    hint = f"copy the run again, or remove {run.path / name}: the report does without"
    if not run.has(name, hint, optional=True):
        return {}
    try:
        with zipfile.ZipFile(run.path / name) as archive:
            sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
            entries = {row: f"{row}.jpg" for row in rows}
            return {row: archive.read(entry) for row, entry in entries.items() if 0 < sizes.get(entry, 0) <= MAX_ENTRY}
    except Exception:  # damaged: BadZipFile, EOFError, NotImplementedError, UnicodeDecodeError, zlib.error, ...
        return {}


def decode_thumbnail(content: bytes) -> Image.Image | None:
    """A thumbnail as RGB; None for a damaged one, for another format and for a larger image."""
    try:
        with Image.open(io.BytesIO(content), formats=["JPEG"]) as image:
            return image.convert("RGB") if max(image.size) <= SIDE else None
    except Exception:  # Pillow raises whatever the damage leads it to
        return None
