"""Palettes: the classes of masks, and their encoding in mask files as colors or numbers.

In headstart a mask is uint8 (H, W) of positions in `Palette.names`. Ignored classes come last, so that every value of
``len(palette.classes)`` or more is left out of losses and metrics: an ignored class, or `IGNORE_INDEX`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

IGNORE_INDEX = 255
"""Mask value of pixels without a class: outside the image, or of a color that is not in the palette."""

Color = tuple[int, int, int]
"""Red, green, blue, 0 to 255."""
Transparency = Literal["background", "class", "dropped"]


@dataclass(frozen=True)
class Palette:
    """Names, numbers and colors of the classes of a dataset's masks."""

    names: tuple[str, ...]
    """All classes; ignored ones last."""
    colors: tuple[Color, ...]
    """Display color of each class; for kind ``color`` also its color in mask files."""
    values: tuple[int, ...]
    """For kind ``number``: each class's number in mask files (gray level or palette index)."""
    kind: Literal["color", "number"]
    ignored: int = 0
    """Number of ignored classes at the end of `names`."""
    mode: Literal["L", "P", "RGB"] | None = None
    """Pillow's mode of the mask files; None: L for numbers, RGB for colors."""
    transparency: Transparency = "background"
    """How mask files are read that have an opacity: transparent pixels are number 0 or black, whatever color they hide;
    the opacity itself is the class's number; or it says nothing."""
    soft: bool = False
    """Whether numbers or colors between those of classes are soft edges: of two classes, they count as the nearer one;
    of more, they are ignored where they are as near to another class, and where a class does not fill 2 x 2 pixels."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes that are not ignored."""
        return self.names[: len(self.names) - self.ignored]

    def colorize(self, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """uint8 (H, W) -> RGB, uint8 (H, W, 3); `IGNORE_INDEX` gets the first ignored class's color, or black."""
        ignored = self.colors[len(self.classes)] if self.ignored else (0, 0, 0)
        table = np.full((256, 3), ignored, np.uint8)
        table[: len(self.colors)] = self.colors
        return table[mask]

    def to_json(self) -> dict[str, Any]:
        """All fields as plain values."""
        return asdict(self)

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> Palette:
        """The palette that `to_json` wrote."""
        red_green_blue = tuple((int(r), int(g), int(b)) for r, g, b in content["colors"])
        return Palette(
            names=tuple(content["names"]),
            colors=red_green_blue,
            values=tuple(content["values"]),
            kind=content["kind"],
            ignored=content.get("ignored", 0),
            mode=content.get("mode"),
            transparency=content.get("transparency", "background"),
            soft=content.get("soft", False),
        )
