"""The classes of a mask, and how a mask file writes them: as colors or as numbers.

Within headstart a mask is uint8 (H, W): a position in `Palette.names`. The classes that count come first, so a value
of `Palette.classes` or more is a pixel that is left out of every figure: of an ignored class, or `NOTHING`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

IGNORE_INDEX = 255
"""A pixel of no class: outside the picture, or of a color that the palette does not know."""

Color = tuple[int, int, int]
"""Red, green, blue, 0 to 255."""


@dataclass(frozen=True)
class Palette:
    """Names, numbers and colors of the classes of a data set's masks."""

    names: tuple[str, ...]
    """The classes that count, then the ignored ones."""
    colors: tuple[Color, ...]
    """How each is painted; with kind ``color`` also how a file writes it."""
    values: tuple[int, ...]
    """With kind ``number``: what a file writes for each class (gray level or palette index)."""
    kind: Literal["color", "number"]
    ignored: int = 0
    """How many classes, at the end of `names`, are ignored."""
    mode: Literal["L", "P", "RGB"] | None = None
    """Pillow's mode of the mask files; None: L for numbers, RGB for colors."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes that count."""
        return self.names[: len(self.names) - self.ignored]

    def colorize(self, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """uint8 (H, W) -> RGB, uint8 (H, W, 3); `NOTHING` is the first ignored class's color, or black."""
        nothing = self.colors[len(self.classes)] if self.ignored else (0, 0, 0)
        table = np.full((256, 3), nothing, np.uint8)
        table[: len(self.colors)] = self.colors
        return table[mask]

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        return asdict(self)

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> Palette:
        """What `to_json` gave, after its way through a JSON file."""
        red_green_blue = tuple((int(r), int(g), int(b)) for r, g, b in content["colors"])
        return Palette(
            names=tuple(content["names"]),
            colors=red_green_blue,
            values=tuple(content["values"]),
            kind=content["kind"],
            ignored=content["ignored"],
            mode=content.get("mode"),
        )
