"""GeoTIFF files a band of rows at a time: images as they come from the sky, and masks that lie where their images lie.

They are read and written by rasterio (GDAL), which is the optional extra ``geo``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from headstart.data.decode import Unreadable
from headstart.errors import HeadstartError
from headstart.palette import Color

if TYPE_CHECKING:
    from rasterio import DatasetReader

SUFFIXES = frozenset([".tif", ".tiff"])
GEO_TAGS = (33550, 33922, 34264, 34735)
"""Tags that say where on the earth a TIFF lies: pixel scale, tie points, transformation, keys (GeoTIFF 1.1, 2.6)."""
BIG_TIFF = 43

Write = Callable[[int, NDArray[np.uint8]], None]
"""``write(top, rows)``: rows of a picture, uint8 (rows, W) or (rows, W, 3), from the row ``top`` on."""


@dataclass(frozen=True)
class GeoTiff:
    """An open file."""

    source: DatasetReader
    height: int
    width: int

    def rows(self, top: int, bottom: int) -> NDArray[np.uint8]:
        """Some rows in red, green and blue: uint8 (bottom - top, W, 3). Raises Unreadable for a damaged file."""
        from rasterio.errors import RasterioError
        from rasterio.windows import Window

        bands, table = _rgb_of(self.source)
        try:
            found = self.source.read(bands, window=Window(0, top, self.width, bottom - top))
        except RasterioError as error:
            raise Unreadable("truncated", str(error)) from None
        rgb: NDArray[np.uint8] = found.transpose(1, 2, 0) if table is None else table[found[0]]
        return rgb


def is_georeferenced(file: Path) -> bool:
    """Whether a file is a TIFF that says where on the earth it lies; found without rasterio."""
    if file.suffix.lower() not in SUFFIXES:
        return False
    try:
        with file.open("rb") as source:
            head = source.read(8)
            head += source.read(8) if BIG_TIFF in head[2:4] else b""
            tags = ImageFileDirectory_v2(head)
            source.seek(tags.next)
            tags.load(source)
    except Exception:  # no TIFF, or damaged: whoever reads it will say so
        return False
    return any(tag in tags for tag in GEO_TAGS)


def require_rasterio(file: Path) -> None:
    """Raise HeadstartError unless rasterio is there to read ``file``."""
    try:
        import rasterio  # noqa: F401
    except ImportError:
        raise HeadstartError(
            f"{file}: expected rasterio, which reads GeoTIFF files, found that it is not installed",
            "pip install 'headstart[geo]'",
        ) from None


@contextmanager
def open_geotiff(file: Path) -> Iterator[GeoTiff]:
    """An image. Raises Unreadable for a damaged file, and for one that is not of bands of 8 bits."""
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)  # some are placed by points, which is enough
            source = rasterio.open(file)
    except RasterioError as error:
        raise Unreadable("not an image", str(error)) from None
    with source:
        kinds = sorted(set(source.dtypes) - {"uint8"})
        if kinds:
            raise Unreadable(f"of {kinds[0]}", "expected bands of 8 bits (uint8)")
        yield GeoTiff(source, source.height, source.width)


def _rgb_of(source: DatasetReader) -> tuple[list[int], NDArray[np.uint8] | None]:
    """Which bands are red, green and blue, counted from 1; a color table where one band is of its numbers."""
    from rasterio.enums import ColorInterp

    meanings = list(source.colorinterp)
    if meanings[0] == ColorInterp.palette:
        table = np.zeros((256, 3), np.uint8)
        for value, color in source.colormap(1).items():
            table[value] = color[:3]
        return [1], table
    wanted = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
    if all(meaning in meanings for meaning in wanted):
        return [meanings.index(meaning) + 1 for meaning in wanted], None
    return ([1, 2, 3] if source.count >= 3 else [1, 1, 1]), None


@contextmanager
def geotiff_like(image: GeoTiff, file: Path, colors: Mapping[int, Color] | None = None) -> Iterator[Write]:
    """A new file that lies where ``image`` lies, under its name once all is written: of numbers, with the colors that
    they are shown in, or without ``colors`` in red, green and blue.

    Raises HeadstartError when it cannot be written; there is then none.
    """
    import rasterio
    from rasterio.errors import RasterioError

    temporary = file.with_name(f".{file.name}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with rasterio.open(temporary, "w", **_settings(image, bands=3 if colors is None else 1)) as target:
            if colors is not None:
                target.write_colormap(1, {value: (*color, 255) for value, color in colors.items()})
            yield lambda top, rows: _write(target, top, rows)
        temporary.replace(file)
    except (OSError, RasterioError) as error:
        raise HeadstartError(
            f"{file}: cannot be written ({error})", f"make room, set permissions or choose another place: df -h {file}"
        ) from None
    finally:
        with suppress(OSError):
            temporary.unlink()


def _settings(image: GeoTiff, bands: int) -> dict[str, Any]:
    points, of_points = image.source.gcps
    place: dict[str, Any] = {"gcps": points, "crs": of_points} if points else {"transform": image.source.transform}
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
        **place,
    }


def _write(target: Any, top: int, rows: NDArray[np.uint8]) -> None:
    from rasterio.windows import Window

    bands = rows[None] if rows.ndim == 2 else rows.transpose(2, 0, 1)
    target.write(bands, window=Window(0, top, bands.shape[2], bands.shape[1]))
