"""Where a predicted mask goes, and how it is written: as the data set's own masks, or as a GeoTIFF."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headstart.data.masks.codec import mask_bytes
from headstart.errors import HeadstartError
from headstart.files import write_atomically
from headstart.inference.geotiff import GeoTiff, geotiff_like, is_georeferenced
from headstart.inference.raster import RasterImage
from headstart.palette import Palette

LONGEST_JPEG = 65_500
"""Pixels along a side that a JPEG file can have."""
ROWS = 512
"""Rows that are painted at once."""

Bands = Iterable[tuple[int, NDArray[np.uint8]]]
"""A mask from top to bottom: (first row, uint8 (rows, W)), positions in `Palette.names`."""


def mask_names(files: Sequence[Path], out: Path) -> list[Path]:
    """Where the mask of each file goes: ``0013_sat.jpg`` -> ``0013_mask.png``, ``photo.jpg`` -> ``photo_mask.png``.

    The mask of a GeoTIFF is one, ``.tif``. Raises HeadstartError where two files would have one mask, and where masks
    would lie among the images, over the masks that are there.
    """
    place, taken, names = out.absolute(), dict[str, Path](), []
    for file in files:
        if file.absolute().parent == place:
            raise HeadstartError(
                f"--out {out}: expected another folder than that of the images, found {file.name} in it",
                f"--out {out}-predicted",
            )
        stem = re.sub(r"[_-]sat$", "", file.stem, flags=re.IGNORECASE)
        name = f"{stem}_mask.tif" if is_georeferenced(file) else f"{stem}_mask.png"
        other = taken.setdefault(stem.casefold(), file)
        if other is not file:
            by_folder = f"one folder at a time: headstart predict RUN {other.parent} --out {out}"
            raise HeadstartError(
                f"{file}: expected a name of its own, found that {other} would have the same mask ({name})",
                f"rename {file}" if other.parent == file.parent else by_folder,
            )
        names.append(out / name)
    return names


def write_mask(scene: RasterImage, mask: Bands, palette: Palette, name: Path, overlay: bool = False) -> None:
    """Write the mask of an image under ``name``, and with ``overlay`` the image under its mask at half opacity.

    A GeoTIFF's mask is one of numbers with the palette as its color table, written as it comes; any other is as the
    masks of the palette are. Raises HeadstartError when it cannot be written.
    """
    if isinstance(scene.source, GeoTiff):
        _write_geotiff(scene, scene.source, mask, palette, name, overlay)
        return
    whole = np.concatenate([rows for _, rows in mask])
    write_atomically(name, mask_bytes(whole, palette))
    if overlay:
        laid_over = np.empty((*whole.shape, 3), np.uint8)
        for top in range(0, len(whole), ROWS):
            laid_over[top : top + ROWS] = _over(scene, top, whole[top : top + ROWS], palette)
        jpeg, picture = max(whole.shape) <= LONGEST_JPEG, io.BytesIO()
        Image.fromarray(laid_over).save(picture, "JPEG" if jpeg else "PNG", quality=90)
        write_atomically(_overlay_of(name, ".jpg" if jpeg else ".png"), picture.getbuffer())


def _write_geotiff(
    scene: RasterImage, image: GeoTiff, mask: Bands, palette: Palette, name: Path, overlay: bool
) -> None:
    values = palette.values if palette.kind == "number" else range(len(palette.names))
    table, colors = np.array(values, np.uint8), dict(zip(values, palette.colors, strict=True))
    over = geotiff_like(image, _overlay_of(name, ".tif")) if overlay else nullcontext()
    with geotiff_like(image, name, colors) as write, over as write_over:
        for top, rows in mask:
            write(top, table[rows])
            if write_over is not None:
                write_over(top, _over(scene, top, rows, palette))


def _overlay_of(name: Path, suffix: str) -> Path:
    return name.with_name(name.stem.removesuffix("_mask") + "_overlay" + suffix)


def _over(scene: RasterImage, top: int, mask: NDArray[np.uint8], palette: Palette) -> NDArray[np.uint8]:
    """Some rows of an image under its painted mask at half opacity."""
    both = scene.rgb(top, top + len(mask)).astype(np.uint16) + palette.colorize(mask)
    return ((both + 1) // 2).astype(np.uint8)
