"""`heat-maps.zip`: where the network sees the class that it predicts, for the most confident errors.

``3.png`` belongs to row 3 of `predictions.csv`: gray, 0 to 255, stretched over the image that the network saw.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headstart.runs.folder import RunFolder

NAME = "heat-maps.zip"
SIDE = 64
"""Pixels a side: a stage's map has 5 to 14, and is smooth between them."""
MAX_ENTRY = 1 << 16
"""Bytes of a map that is read; an entry of a foreign archive may unfold to a thousand times its size."""


def write_heat_maps(run: RunFolder, maps: Mapping[int, NDArray[np.float32]]) -> None:
    """Write maps, float (h, w) of 0 to 1, by row of `predictions.csv`."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as zipped:
        for row, values in maps.items():
            picture = Image.fromarray(np.rint(255 * values.clip(0, 1)).astype(np.uint8))
            png = io.BytesIO()
            picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(png, "PNG", optimize=True)
            zipped.writestr(zipfile.ZipInfo(f"{row}.png"), png.getvalue())  # without the time
    run.write(NAME, archive.getvalue())


def read_heat_maps(run: RunFolder, rows: Iterable[int]) -> dict[int, NDArray[np.uint8]]:
    """Row -> map, uint8 (`SIDE`, `SIDE`), of those ``rows`` that have one; empty for a run without maps.

    Raises HeadstartError for an archive that is not the one that was written.
    """
    hint = f"copy the run again, or remove {run.path / NAME}: the report does without"
    if not run.has(NAME, hint, optional=True):
        return {}
    found = {}
    try:
        with zipfile.ZipFile(run.path / NAME) as archive:
            sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
            for row in rows:
                if 0 < sizes.get(f"{row}.png", 0) <= MAX_ENTRY:
                    with Image.open(io.BytesIO(archive.read(f"{row}.png")), formats=["PNG"]) as picture:
                        if picture.size == (SIDE, SIDE):
                            found[row] = np.asarray(picture.convert("L"))
    except Exception:  # damaged: zipfile and Pillow raise whatever the damage leads them to
        return {}
    return found
