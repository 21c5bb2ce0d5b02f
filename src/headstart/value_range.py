"""Value ranges: which values of images deeper than 8 bits become 0 and 255, the same for all images of a data set.

Integers and floats have a range each. A run stores both, so that a single image is scaled as the training set was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]
"""Pixels of any integer or float type: (H, W) or (H, W, C)."""
Source = Literal["given", "full scale", "percentiles"]
BLOCK = 1 << 22
"""Values scaled at once: bounds the memory of the intermediate floats."""


@dataclass(frozen=True)
class ValueRange:
    """Values that become 0 and 255; those outside are clipped."""

    low: float
    high: float
    source: Source = "given"
    """From the field data.range, from the bits that the images use, or from percentiles of their values: a guess."""

    def __str__(self) -> str:
        return f"{self.low:.7g} to {self.high:.7g}"

    def to_bytes(self, values: Values) -> NDArray[np.uint8]:
        """``values`` scaled to uint8, of the same shape: rounded, clipped, and 0 where they are not a number."""
        table = self._scale(np.arange(1 << 16, dtype=np.uint16)) if values.dtype == np.uint16 else None
        scaled = np.empty(values.shape, np.uint8)
        rows = max(1, BLOCK * len(values) // max(1, values.size))
        for top in range(0, len(values), rows):
            part = values[top : top + rows]
            scaled[top : top + rows] = self._scale(part) if table is None else table[part]
        return scaled

    def _scale(self, values: Values) -> NDArray[np.uint8]:
        levels = (np.nan_to_num(values.astype(np.float64), nan=self.low) - self.low) * 255 / (self.high - self.low)
        scaled: NDArray[np.uint8] = np.rint(levels.clip(0, 255)).astype(np.uint8)
        return scaled


@dataclass(frozen=True)
class ValueRanges:
    """The ranges of a data set's images of more than 8 bits; None for a kind that it has no images of."""

    integers: ValueRange | None = None
    floats: ValueRange | None = None

    def __bool__(self) -> bool:
        return self.integers is not None or self.floats is not None

    def of(self, values: Values) -> ValueRange | None:
        """The range of images of this dtype."""
        return self.floats if values.dtype.kind == "f" else self.integers

    def to_json(self) -> dict[str, Any]:
        """Plain values, for ``json.dumps``."""
        return {name: each for name, each in asdict(self).items() if each is not None}

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> ValueRanges:
        """The inverse of `to_json`."""
        return ValueRanges(**{name: ValueRange(**each) for name, each in content.items()})
