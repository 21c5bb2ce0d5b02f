"""Decoder diagram as SVG, below its backbone: layers in a row, parallel branches, and rows from other feature maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from headstart.report.svg import COLUMN, GAP, LINE, TALLEST, arrow, box, image_slab, path, short, slab, text

HIGH, PITCH = 54, 62
"""Pixels of a layer's box, and from one branch to the next."""
LETTER = 6.2
"""Width of a letter."""
BETWEEN, BUS = 24, 20
"""Between two boxes in a row, and from branches to where their lines meet."""
LEFT = 56
"""Left edge of a row; lines from the backbone come down to the left of it."""

Layer = Mapping[str, Any]


def decoder(network: Mapping[str, Any], top: float) -> tuple[list[str], float, float]:
    """SVG parts below ``top``, and their right and bottom edges."""
    head, sides = network["head"], network["sides"]
    branches = max((len(layer["branches"]) for layer in head if "branches" in layer), default=0)
    middle = top + 50 + max(branches * PITCH, TALLEST) / 2
    parts = [text(LEFT, top + 46, "decoder", True, "start")]
    parts.append(path([*_down(network, None, top + 24, LEFT - 28), (LEFT - 28, middle), (LEFT, middle)], not branches))
    left, centers = float(LEFT), []
    for number, layer in enumerate(head):
        drawn, right = _layer(left, middle, layer)
        centers.append((left + right) / 2)
        left = right + BETWEEN
        parts += [*drawn, path([(right, middle), (left, middle)])] if number + 1 < len(head) else drawn
    parts += [arrow(left - BETWEEN + 6, middle)]
    parts += slab(left + 50, image_slab(head[-1]["shape"], "mask"), middle - TALLEST / 2)
    low = middle + max(branches * PITCH / 2, TALLEST / 2 + 3 * LINE) + 30
    for side in sides:
        parts += _side(network, side, top, low, centers, middle)
        low += HIGH + 40
    return parts, left + 110, low


def _side(
    network: Mapping[str, Any], side: Mapping[str, Any], top: float, low: float, centers: Sequence[float], middle: float
) -> list[str]:
    """A row from another feature map of the backbone; it ends, or joins the decoder's row from below."""
    level = low + HIGH / 2
    parts = [text(LEFT, low - 8, side["name"], True, "start")]
    parts.append(path([*_down(network, side["map"], top + 10, LEFT - 44), (LEFT - 44, level), (LEFT, level)]))
    left = float(LEFT)
    for number, layer in enumerate(side["layers"]):
        drawn, right = _layer(left, level, layer)
        left = right + BETWEEN
        parts += [*drawn, path([(right, level), (left, level)])] if number + 1 < len(side["layers"]) else drawn
    if side["joins"] is None:
        parts.append(text(right + 12, level + 4, "auxiliary loss, in training only", anchor="start"))
    else:
        x = centers[side["joins"]]
        parts.append(path([(right, level), (x, level), (x, middle + HIGH / 2)]))
        parts.append(text(x + 8, level - 8, "concatenated", anchor="start"))
    return parts


def _down(network: Mapping[str, Any], number: int | None, level: float, x: float) -> list[tuple[float, float]]:
    """The line from below the stage that a feature map is taken from (None: the last), along ``level`` to ``x``."""
    taken = [(each, place) for place, stage in enumerate(network["backbone"]) for each in stage.get("maps", ())]
    last = len(network["backbone"]) - 1
    place = max(taken, default=(0, last))[1] if number is None else dict(taken).get(number, last)
    middle = (place + 1) * (COLUMN + GAP) + COLUMN / 2
    return [(middle, level - 10), (middle, level), (x, level)]


def _layer(left: float, middle: float, layer: Layer) -> tuple[list[str], float]:
    """A box, or parallel branches with the lines to and from them; and their right edge."""
    if "branches" not in layer:
        words = _words([layer])
        width = _width(words)
        return box(left, middle - HIGH / 2, width, HIGH, words, bool(layer["parameters"])), left + width
    rows = [_words(branch) for branch in layer["branches"]]
    width = max(_width(words) for words in rows)
    levels = [middle + (number - (len(rows) - 1) / 2) * PITCH for number in range(len(rows))]
    right = left + width + BUS
    parts = [path([(x, levels[0]), (x, levels[-1])], head=False) for x in (left, right + BUS)]
    parts.append(text(left + BUS + width / 2, levels[0] - HIGH / 2 - 8, layer["kind"], True))
    for level, words, branch in zip(levels, rows, layer["branches"], strict=True):
        learns = any(each["parameters"] for each in branch)
        parts += [path([(left, level), (left + BUS, level)]), path([(right, level), (right + BUS, level)], head=False)]
        parts += box(left + BUS, level - HIGH / 2, width, HIGH, words, learns)
    return parts, right + BUS


def _words(layers: Sequence[Layer]) -> list[str]:
    """Kinds, output shape and parameters of consecutive layers, a line each."""
    count = sum(layer["parameters"] for layer in layers)
    kinds = ", ".join(layer["kind"] for layer in layers)
    more = [f"{short(count)} parameters"] if count else []
    return [kinds, " × ".join(map(str, layers[-1]["shape"])), *more]


def _width(words: Sequence[str]) -> float:
    return round(LETTER * max(map(len, words)) + 16)
