"""An open image of any size, GeoTIFF or other, read a band of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headstart.data.conversion import Conversion
from headstart.data.decode import Unreadable, read, upright_size
from headstart.inference.geotiff import GeoTiff, is_georeferenced, open_geotiff, require_rasterio


@dataclass(frozen=True)
class RasterImage:
    """An open image: a GeoTIFF on disk, or the decoded pixels of any other file."""

    source: GeoTiff | NDArray[np.uint8]

    @property
    def height(self) -> int:
        return self.source.height if isinstance(self.source, GeoTiff) else self.source.shape[0]

    @property
    def width(self) -> int:
        return self.source.width if isinstance(self.source, GeoTiff) else self.source.shape[1]

    def rgb(self, top: int, bottom: int) -> NDArray[np.uint8]:
        """Rows ``top`` to ``bottom`` as RGB: uint8 (bottom - top, W, 3). Raises Unreadable for a damaged GeoTIFF."""
        return self.source.rows(top, bottom) if isinstance(self.source, GeoTiff) else self.source[top:bottom]

    def pixels(self, top: int, bottom: int) -> Tensor:
        """The same rows, channels first: uint8 (3, bottom - top, W)."""
        return torch.from_numpy(np.ascontiguousarray(self.rgb(top, bottom).transpose(2, 0, 1)))


@contextmanager
def open_raster(file: Path, conversion: Conversion | None = None) -> Iterator[RasterImage]:
    """Open an image file. A GeoTIFF stays on disk; any other file is decoded, three bytes per pixel.

    ``conversion`` is that of the run, for deep values and further bands.
    Raises Unreadable for a file that is not an image, and HeadstartError if rasterio is needed and not installed.
    """
    if is_georeferenced(file):
        require_rasterio(file)
        with open_geotiff(file, conversion) as image:
            yield RasterImage(image)
    else:
        yield RasterImage(np.array(read(file, conversion=conversion).rgb))


def raster_size(file: Path, conversion: Conversion | None = None) -> tuple[int, int]:
    """Height and width in pixels, from the file's header; (0, 0) if it cannot be read."""
    if not is_georeferenced(file):
        return upright_size(file)
    require_rasterio(file)
    try:
        with open_geotiff(file, conversion) as image:
            return image.height, image.width
    except Unreadable:
        return 0, 0
