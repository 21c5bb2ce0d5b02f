"""Read and write GeoTIFF files a band of rows at a time; a mask has the coordinates of its image.

Needs rasterio (GDAL), the optional extra ``geo``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from headstart.data.conversion import Conversion
from headstart.data.decode import Unreadable, is_graded
from headstart.data.masks.origin import SOFTWARE
from headstart.errors import HeadstartError
from headstart.files import temporary_name
from headstart.palette import Color

if TYPE_CHECKING:
    from rasterio import DatasetReader

SUFFIXES = frozenset([".tif", ".tiff"])
GEO_TAGS = (33550, 33922, 34264, 34735)
"""TIFF tags of georeferencing: pixel scale, tie points, transformation, keys (OGC GeoTIFF 1.1)."""
FROM_FAR = 1024
"""Side, in pixels, at which a band is looked at to tell whether it is transparency."""
BIG_TIFF = 43
"""Version number in the header of a BigTIFF file."""

Write = Callable[[int, NDArray[np.uint8]], None]
"""``write(top, rows)``: rows of an image, uint8 (rows, W) or (rows, W, 3), from row ``top`` on."""


@dataclass(frozen=True)
class GeoTiff:
    """A GeoTIFF file, open for reading."""

    source: DatasetReader
    height: int
    width: int
    conversion: Conversion = field(default_factory=Conversion)
    alpha: int | None = None
    """Number of the band of transparency, which is shown over white."""

    def rows(self, top: int, bottom: int) -> NDArray[np.uint8]:
        """Rows ``top`` to ``bottom`` as RGB: uint8 (bottom - top, W, 3).

        Raises Unreadable for a damaged file, and for deep values whose range the run does not know.
        """
        from rasterio.errors import RasterioError
        from rasterio.windows import Window

        bands, color_table = _rgb_bands(self.source, self.conversion)
        window = Window(0, top, self.width, bottom - top)
        try:
            values = self.source.read(bands, window=window)
            alpha = self.source.read(self.alpha, window=window) if self.alpha else None
        except RasterioError as error:
            raise Unreadable("truncated", str(error)) from None
        if color_table is not None:
            return np.asarray(color_table[values[0]])
        values = values.transpose(1, 2, 0)
        if values.dtype == np.uint8:
            return _over_white(values, alpha)
        if self.source.nodata is not None and values.dtype.kind == "f":
            values = np.where(values == values.dtype.type(self.source.nodata), np.nan, values)
        return _over_white(self.conversion.range_of(values).to_bytes(values), alpha)


def _over_white(rgb: NDArray[np.uint8], alpha: NDArray[Any] | None) -> NDArray[np.uint8]:
    """What is transparent over white, as `decode.read` shows it: uint8 (rows, W, 3)."""
    if alpha is None:
        return rgb
    alpha = (alpha >> 8 if alpha.dtype == np.uint16 else alpha).astype(np.uint8)
    shown, white = Image.fromarray(np.ascontiguousarray(rgb)), Image.new("RGB", rgb.shape[1::-1], "white")
    return np.asarray(Image.composite(shown, white, Image.fromarray(alpha)))


def is_georeferenced(file: Path) -> bool:
    """Whether a file is a TIFF with georeferencing tags; read without rasterio."""
    if file.suffix.lower() not in SUFFIXES or not file.is_file():  # a pipe would wait
        return False
    try:
        with file.open("rb") as source:
            head = source.read(8)
            head += source.read(8) if BIG_TIFF in head[2:4] else b""
            tags = ImageFileDirectory_v2(head)
            source.seek(tags.next)
            tags.load(source)
    except Exception:  # not a TIFF, or damaged: the reader reports it
        return False
    return any(tag in tags for tag in GEO_TAGS)


def require_rasterio(file: Path) -> None:
    """Raise HeadstartError unless rasterio is installed."""
    try:
        import rasterio  # noqa: F401
    except ImportError:
        raise HeadstartError(
            f"{file}: expected rasterio, which reads GeoTIFF files, found it is not installed",
            "pip install 'headstart[geo]'",
        ) from None


@contextmanager
def open_geotiff(file: Path, conversion: Conversion | None = None) -> Iterator[GeoTiff]:
    """Open an image. ``conversion`` is that of the run, for deep values and further bands.

    Raises Unreadable for a damaged file, for bands that the run has no range for, and where none says what is red.
    """
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)  # ground control points are enough
            source = rasterio.open(file)
    except RasterioError as error:
        raise Unreadable("not an image", str(error)) from None
    with source:
        conversion = conversion or Conversion()
        deep = np.dtype(source.dtypes[0])
        if deep != np.uint8 and conversion.ranges.of(np.empty(0, deep)) is None:
            raise Unreadable(f"of {deep}", "expected bands of 8 bits (uint8), as the training images")
        _rgb_bands(source, conversion)
        yield GeoTiff(source, source.height, source.width, conversion, _alpha_band(source, conversion))


def _alpha_band(source: DatasetReader, conversion: Conversion) -> int | None:
    """Number of the band of transparency, if it is one: neither the same all over nor, seen from far, graded."""
    from rasterio.enums import ColorInterp
    from rasterio.errors import RasterioError

    interpretations = list(source.colorinterp)
    if conversion.bands is not None or ColorInterp.alpha not in interpretations:
        return None
    band = interpretations.index(ColorInterp.alpha) + 1
    try:
        seen = source.read(band, out_shape=(min(source.height, FROM_FAR), min(source.width, FROM_FAR)))
    except RasterioError as error:
        raise Unreadable("truncated", str(error)) from None
    opaque = int(np.iinfo(seen.dtype).max) if seen.dtype.kind == "u" else 255
    return None if seen.min() == seen.max() or is_graded(seen, opaque) else band


def _rgb_bands(source: DatasetReader, conversion: Conversion) -> tuple[list[int], NDArray[np.uint8] | None]:
    """Numbers (from 1) of the red, green and blue bands; with a color table (256, 3) if one band indexes it.

    Raises Unreadable where neither the recipe nor the file says which of several bands they are.
    """
    from rasterio.enums import ColorInterp

    if conversion.bands is not None:
        if max(conversion.bands) > source.count:
            asked = f"data.bands={list(conversion.bands)} asks for band {max(conversion.bands)}"
            raise Unreadable(f"of {source.count} bands", asked)
        return list(conversion.bands), None

    interpretations = list(source.colorinterp)
    if interpretations[0] == ColorInterp.palette:
        color_table = np.zeros((256, 3), np.uint8)
        for value, color in source.colormap(1).items():
            color_table[value] = color[:3]
        return [1], color_table
    rgb = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
    if all(color in interpretations for color in rgb):
        return [interpretations.index(color) + 1 for color in rgb], None
    if source.count == 2 or source.count > 3:
        if ColorInterp.alpha in interpretations and source.count == 2:
            return [1, 1, 1], None
        raise Unreadable(f"of {source.count} bands", "none is marked as red, green and blue")
    return ([1, 2, 3] if source.count == 3 else [1, 1, 1]), None


@contextmanager
def geotiff_like(image: GeoTiff, file: Path, colors: Mapping[int, Color] | None = None) -> Iterator[Write]:
    """Create a GeoTIFF with the size and coordinates of ``image``; yields the function that writes its rows.

    One band of class numbers with ``colors`` as its color table, or RGB without ``colors``. The file gets its name once
    it is complete. Raises HeadstartError if it cannot be written; no file is left behind.
    """
    import rasterio
    from rasterio.errors import RasterioError

    temporary = temporary_name(file)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with rasterio.open(temporary, "w", **_profile(image, bands=3 if colors is None else 1)) as target:
            target.update_tags(TIFFTAG_SOFTWARE=SOFTWARE)
            if colors is not None:
                target.write_colormap(1, {value: (*color, 255) for value, color in colors.items()})
            yield lambda top, rows: _write(target, top, rows)
        temporary.replace(file)
    except (OSError, RasterioError) as error:
        raise HeadstartError(
            f"{file}: cannot be written ({error})", f"make room, set permissions or choose another folder: df -h {file}"
        ) from None
    finally:
        with suppress(OSError):
            temporary.unlink()


def _profile(image: GeoTiff, bands: int) -> dict[str, Any]:
    """rasterio's profile of the new file; georeferenced by ground control points if the image is."""
    points, crs = image.source.gcps
    georeferencing: dict[str, Any] = {"gcps": points, "crs": crs} if points else {"transform": image.source.transform}
    return {
        "driver": "GTiff",
        "dtype": "uint8",
        "count": bands,
        "height": image.height,
        "width": image.width,
        "crs": image.source.crs,
        "compress": "deflate",
        "bigtiff": "if_safer",
        "photometric": "rgb" if bands == 3 else None,
        **georeferencing,
    }


def _write(target: Any, top: int, rows: NDArray[np.uint8]) -> None:
    from rasterio.windows import Window

    bands = rows[None] if rows.ndim == 2 else rows.transpose(2, 0, 1)
    target.write(bands, window=Window(0, top, bands.shape[2], bands.shape[1]))
