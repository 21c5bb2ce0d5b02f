"""SVG elements of the architecture diagrams: blocks, boxes, text, arrows; all text is escaped."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import escape

COLUMN, GAP, TOP, TALLEST = 150, 6, 26, 150
"""Pixels of the drawing: width of a stage's column, space between columns, above, and the tallest block."""
LINE = 16
"""Height of a line of text."""


def image_slab(shape: Sequence[int], name: str = "image") -> dict[str, Any]:
    """The block of the input image or the output mask, (channels, height, width)."""
    words = [name, " × ".join(map(str, shape))]
    return {"side": 1.0, "channels": shape[0], "class": "image", "text": words}


def slab(middle: float, column: Mapping[str, Any], top: float = TOP) -> list[str]:
    """A block in perspective, its height by resolution, its width by the logarithm of its channels, and its text.

    ``column`` has its ``side`` (1 for the image's), ``channels``, ``class`` and ``text``, a list of lines.
    """
    height = max(14.0, TALLEST * math.sqrt(column["side"]))
    width = 8 + 4.5 * math.log2(max(2, column["channels"]))
    slant = height * 0.22
    left, high = middle - (width + slant) / 2, top + (TALLEST - height) / 2 + slant / 2
    front = height - slant
    right, low = left + width, high + front
    roof = f"{left},{high} {left + slant},{high - slant} {right + slant},{high - slant} {right},{high}"
    side = f"{right},{high} {right + slant},{high - slant} {right + slant},{low - slant} {right},{low}"
    kind = column["class"]
    words = enumerate(column["text"])
    return [
        f'<polygon class="{kind} roof" points="{_round(roof)}"/><polygon class="{kind} side" points="{_round(side)}"/>',
        f'<rect class="{kind}" x="{left:.1f}" y="{high:.1f}" width="{width:.1f}" height="{front:.1f}"/>',
        *(text(middle, top + TALLEST + 18 + i * LINE, line, i == 0) for i, line in words),
    ]


def _round(points: str) -> str:
    return " ".join(",".join(f"{float(number):.1f}" for number in point.split(",")) for point in points.split())


def box(left: float, top: float, width: float, height: float, lines: Sequence[str], learns: bool) -> list[str]:
    """A layer: a rectangle with lines of text."""
    kind, first = "learns" if learns else "plain", top + height / 2 + 4 - (len(lines) - 1) * LINE / 2
    rectangle = f'<rect class="layer {kind}" x="{left:.1f}" y="{top:.1f}" width="{width}" height="{height}" rx="5"/>'
    return [rectangle, *(text(left + width / 2, first + i * LINE, line) for i, line in enumerate(lines))]


def text(x: float, y: float, words: str, strong: bool = False, anchor: str = "") -> str:
    kind = f' class="{"strong " if strong else ""}{anchor}"'.replace(' "', '"') if strong or anchor else ""
    return f'<text{kind} x="{x:.1f}" y="{y:.1f}">{escape(words)}</text>'


def arrow(x: float, y: float) -> str:
    """A short arrow to the right."""
    return f'<path class="arrow" d="M{x:.1f} {y:.1f}h14m-5 -4l5 4l-5 4"/>'


def path(points: Sequence[tuple[float, float]], head: bool = True) -> str:
    """Horizontal and vertical lines from point to point, with an arrowhead at the last."""
    (x, y), (end_x, end_y) = points[-2:]
    line = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    if not head:
        return f'<path class="arrow" d="{line}"/>'
    if x == end_x:
        back = 5 if end_y < y else -5
        return f'<path class="arrow" d="{line}m-4 {back}l4 {-back}l4 {back}"/>'
    return f'<path class="arrow" d="{line}m-5 -4l5 4l-5 4"/>'


def short(number: int) -> str:
    """``2097152`` -> ``2.1 M``."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.1f} {letter}"
    return str(number)
