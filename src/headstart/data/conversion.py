"""Conversion: how the values in image files become red, green and blue of 8 bits, the same for all of a data set."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from headstart.data.unreadable import Unreadable
from headstart.value_range import ValueRange, ValueRanges, Values

MAX_PIXELS = 178_956_970
"""Largest image that is decoded at full size, in pixels: Pillow's limit against decompression bombs."""
BYTES_PER_PIXEL = 5
"""Memory that decoding may take, for each pixel of the limit: RGB takes four. In all threads together."""
DARK = 1 / 8
"""Share of the full scale below which 16 bits without a known range are not taken for 16 bits that are used."""


def too_many_bands(count: int) -> Unreadable:
    """The error of an image of two, or more than three bands: which of them are red, green and blue is not known."""
    return Unreadable(f"of {count} bands", f"choose three with data.bands={[4, 3, 2] if count > 3 else [1, 1, 2]}")


@dataclass(frozen=True)
class Conversion:
    """Ranges of deep images, bands and size limit. The default fits images of 8 bits."""

    ranges: ValueRanges = field(default_factory=ValueRanges)
    bands: tuple[int, int, int] | None = None
    """Bands, counted from 1, that become red, green and blue; None: images of one or three bands."""
    max_pixels: int = MAX_PIXELS

    def require_pixels(self, width: int, height: int, way_out: str = "") -> None:
        """Raise Unreadable for a size that is more than the limit; ``way_out`` is another one than a higher limit."""
        if width * height > self.max_pixels:
            detail = f"{width} x {height} pixels, more than data.max_pixels={self.max_pixels}"
            raise Unreadable("too large", f"{detail}; {way_out}" if way_out else detail)

    @property
    def max_bytes(self) -> int:
        """Memory that decoding may take, in all threads together; a file may not be larger either."""
        return BYTES_PER_PIXEL * max(self.max_pixels, MAX_PIXELS)

    def select_bands(self, values: Values) -> Values:
        """(H, W, C) or (H, W) -> the bands that become red, green and blue, or the one that is gray.

        Raises Unreadable for two or more than three bands without `bands`, and for a band that the image has not.
        """
        values = values[..., 0] if values.ndim == 3 and values.shape[2] == 1 else values
        count = 1 if values.ndim == 2 else values.shape[2]
        if self.bands is not None:
            if max(self.bands) > count:
                found = "1 band" if count == 1 else f"{count} bands"
                raise Unreadable(f"of {found}", f"data.bands={list(self.bands)} asks for band {max(self.bands)}")
            return values[..., [band - 1 for band in self.bands]] if values.ndim == 3 else np.dstack([values] * 3)
        if count not in (1, 3):
            raise too_many_bands(count)
        return values

    def range_of(self, values: Values) -> ValueRange:
        """The range of deep ``values``. Raises Unreadable where no training image tells it."""
        known = self.ranges.of(values)
        if known is not None:
            return known
        # 16 bits that are used to the full need no guess. Others may be 12 bits, and would be black.
        if values.dtype == np.uint16 and values.max() > DARK * 65535:
            return ValueRange(0, 65535, "full scale")
        kind = "floats" if values.dtype.kind == "f" else f"{8 * values.dtype.itemsize} bits"
        detail = f"values {values.min():.6g} to {values.max():.6g}, in a data set of 8 bits: convert it to 8 bits"
        raise Unreadable(f"of {kind}", detail)

    def to_rgb(self, values: Values) -> tuple[Image.Image, ValueRange]:
        """Deep values (H, W) or (H, W, 3) as an RGB image, and the range it was scaled by."""
        known = self.range_of(values)
        image = Image.fromarray(known.to_bytes(values))
        return image if image.mode == "RGB" else image.convert("RGB"), known
