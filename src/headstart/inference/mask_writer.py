"""Names and files of predicted masks: in the colors or numbers of the training masks, or as a GeoTIFF."""

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
from headstart.data.masks.origin import exif_mark, png_mark
from headstart.errors import HeadstartError, quoted
from headstart.files import write_atomically
from headstart.inference.geotiff import GeoTiff, geotiff_like, is_georeferenced
from headstart.inference.raster import RasterImage
from headstart.palette import Palette

MAX_JPEG_SIDE = 65_500
"""The largest side of a JPEG file, in pixels."""
BAND_ROWS = 512
"""Rows blended at once for an overlay."""

Bands = Iterable[tuple[int, NDArray[np.uint8]]]
"""A mask in bands from top to bottom: (first row, uint8 (rows, W)), positions in `Palette.names`."""


def mask_names(files: Sequence[Path], out: Path) -> list[Path]:
    """Mask file of each image: ``0013_sat.jpg`` -> ``0013_mask.png``, ``photo.jpg`` -> ``photo_mask.png``.

    The mask of a GeoTIFF is a GeoTIFF, ``.tif``. Raises HeadstartError if two images would have the same mask file,
    and if ``out`` is a folder of the images, where masks could overwrite the training masks.
    """
    folder, image_of, names = out.absolute(), dict[str, Path](), []
    for file in files:
        if file.absolute().parent == folder:
            raise HeadstartError(
                f"--out {out}: expected another folder than that of the images, found {file.name} in it",
                f"--out {out}-predicted",
            )
        stem = re.sub(r"[_-]sat$", "", file.stem, flags=re.IGNORECASE)
        name = f"{stem}_mask.tif" if is_georeferenced(file) else f"{stem}_mask.png"
        other = image_of.setdefault(stem.casefold(), file)
        if other is not file:
            by_folder = f"one folder at a time: headstart predict RUN {quoted(other.parent)} --out {quoted(out)}"
            raise HeadstartError(
                f"{file}: expected a unique name, found that {other} would have the same mask ({name})",
                f"rename {file}" if other.parent == file.parent else by_folder,
            )
        names.append(out / name)
    return names


def write_mask(image: RasterImage, mask: Bands, palette: Palette, *, name: Path, overlay: bool = False) -> None:
    """Write the mask of an image to ``name``; ``overlay`` also writes the image under its mask at 50 % opacity.

    The mask of a GeoTIFF holds class numbers with the palette as its color table, and is written band by band; any
    other has the format of the training masks. Raises HeadstartError if a file cannot be written.
    """
    if isinstance(image.source, GeoTiff):
        _write_geotiff(image, image.source, mask, palette, name, overlay)
        return
    whole = np.concatenate([rows for _, rows in mask])
    write_atomically(name, mask_bytes(whole, palette))
    if overlay:
        blended = np.empty((*whole.shape, 3), np.uint8)
        for top in range(0, len(whole), BAND_ROWS):
            blended[top : top + BAND_ROWS] = _blend(image, top, whole[top : top + BAND_ROWS], palette)
        jpeg, encoded = max(whole.shape) <= MAX_JPEG_SIDE, io.BytesIO()
        mark = {"exif": exif_mark()} if jpeg else {"pnginfo": png_mark()}
        Image.fromarray(blended).save(encoded, "JPEG" if jpeg else "PNG", quality=90, **mark)
        write_atomically(overlay_name(name, ".jpg" if jpeg else ".png"), encoded.getbuffer())


def _write_geotiff(
    image: RasterImage, source: GeoTiff, mask: Bands, palette: Palette, name: Path, overlay: bool
) -> None:
    values = palette.values if palette.kind == "number" else range(len(palette.names))
    table, colors = np.array(values, np.uint8), dict(zip(values, palette.colors, strict=True))
    overlay_file = geotiff_like(source, overlay_name(name, ".tif")) if overlay else nullcontext()
    with geotiff_like(source, name, colors) as write, overlay_file as write_overlay:
        for top, rows in mask:
            write(top, table[rows])
            if write_overlay is not None:
                write_overlay(top, _blend(image, top, rows, palette))


def overlay_name(name: Path, suffix: str) -> Path:
    """The file of the overlay beside a mask: ``0013_mask.png`` -> ``0013_overlay.jpg``."""
    return name.with_name(name.stem.removesuffix("_mask") + "_overlay" + suffix)


def _blend(image: RasterImage, top: int, mask: NDArray[np.uint8], palette: Palette) -> NDArray[np.uint8]:
    """The rows of an image from ``top`` on under their mask at 50 % opacity: uint8 (rows, W, 3)."""
    both = image.rgb(top, top + len(mask)).astype(np.uint16) + palette.colorize(mask)
    return ((both + 1) // 2).astype(np.uint8)
