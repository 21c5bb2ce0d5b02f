"""The network as a drawing: stages as blocks whose height is their resolution, and the head layer by layer.

The parts of a decoder have a line of their own above them, and a bar beside them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

COLUMN, GAP, TOP, TALLEST = 150, 6, 26, 150
"""Pixels of the drawing: width of a stage's column, space between columns, above, and the tallest block."""
LINE = 16
"""Height of a line of text."""
LAYER, CAPTION = 30, 22
"""Height of a layer of the head, and of the name of a decoder's part, with the space below."""


def drawing(network: Mapping[str, Any]) -> Markup:
    """An SVG of what `architecture.json` holds; every name in it is escaped."""
    stages = network["backbone"]
    columns = [*_input(network["input"]), *(_stage(stage, network["input"]) for stage in stages)]
    lines = max(len(column["text"]) for column in columns)
    below = TOP + TALLEST + 18
    head, tall, wide = _head(network["head"], len(columns) * (COLUMN + GAP))
    width = len(columns) * (COLUMN + GAP) + wide
    height = max(below + lines * LINE + 8, TOP + tall + 30)
    parts: list[str] = []
    for number, column in enumerate(columns):
        middle = number * (COLUMN + GAP) + COLUMN / 2
        parts += _block(middle, column)
        parts += [_text(middle, below + i * LINE, line, i == 0) for i, line in enumerate(column["text"])]
        if number:
            parts.append(_arrow(number * (COLUMN + GAP) - GAP - 8, TOP + TALLEST / 2))
    if head:
        parts += [_arrow(len(columns) * (COLUMN + GAP) - 10, TOP + TALLEST / 2), *head]
    title = f"{network['parameters']:,} parameters, {network['trained']:,} of them trained"
    return Markup(
        f'<svg class="architecture" viewBox="0 0 {width} {height}" style="min-width:{width * 0.72:.0f}px" role="img"'
        f' xmlns="http://www.w3.org/2000/svg"><title>{title}</title>{"".join(parts)}</svg>'
    )


def _input(shape: Sequence[int]) -> Iterator[dict[str, Any]]:
    channels, height, width = shape
    yield {"side": 1.0, "channels": channels, "class": "image", "text": ["image", f"{channels} × {height} × {width}"]}


def _stage(stage: Mapping[str, Any], image: Sequence[int]) -> dict[str, Any]:
    shape = stage["shape"]
    layers = [
        (f"{each['count']} × " if each["count"] > 1 else "") + f"{each['kind']}, {each['channels']}"
        for each in stage["layers"]
    ]
    count = [f"{_short(stage['parameters'])} parameters"] if stage["parameters"] else []
    return {
        "side": shape[1] / image[1] if len(shape) == 3 else 0.0,
        "channels": shape[0] if len(shape) == 3 else shape[-1],
        "class": "stage",
        "text": [" × ".join(map(str, shape)), *layers, *count],
    }


def _head(layers: Sequence[Mapping[str, Any]], left: float) -> tuple[list[str], int, int]:
    """The head's layers below each other, right of ``left``; with their height and width."""
    if not layers:
        return [], 0, 0
    inside = 412 if "part" in layers[0] else 176
    drawn, y, name = (
        [_text(left + 12 + inside / 2, TOP - 10, "decoder" if "part" in layers[0] else "head", True)],
        0,
        "",
    )
    for layer, following in zip(layers, [*layers[1:], {}], strict=True):
        if (part := layer.get("part", "")) != name:
            drawn.append(_text(left + 12 + inside / 2, TOP + y + 14, part))
            y, name = y + CAPTION, part
        shape = " × ".join(map(str, layer["shape"]))
        count = f" ({_short(layer['parameters'])})" if layer["parameters"] else ""
        kind = "learns" if layer["parameters"] else "plain"
        box = f'x="{left + 12}" y="{TOP + y}" width="{inside}" height="24" rx="5"'
        drawn.append(f'<rect class="layer {kind}" {box}/>')
        drawn.append(_text(left + 12 + inside / 2, TOP + y + 16, f"{layer['kind']} → {shape}{count}"))
        if part:
            drawn.append(
                f'<path class="part" d="M{left + 6} {TOP + y}v{LAYER if following.get("part") == part else 24}"/>'
            )
        y += LAYER
    return drawn, y, inside + 14


def _block(middle: float, column: Mapping[str, Any]) -> list[str]:
    """A slab seen from an angle: as tall as its resolution, as wide as the logarithm of its channels."""
    height = max(14.0, TALLEST * math.sqrt(column["side"]))
    width = 8 + 4.5 * math.log2(max(2, column["channels"]))
    slant = height * 0.22
    left, top = middle - (width + slant) / 2, TOP + (TALLEST - height) / 2 + slant / 2
    front = height - slant
    right, bottom = left + width, top + front
    roof = f"{left},{top} {left + slant},{top - slant} {right + slant},{top - slant} {right},{top}"
    side = f"{right},{top} {right + slant},{top - slant} {right + slant},{bottom - slant} {right},{bottom}"
    kind = column["class"]
    return [
        f'<polygon class="{kind} roof" points="{_round(roof)}"/><polygon class="{kind} side" points="{_round(side)}"/>',
        f'<rect class="{kind}" x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{front:.1f}"/>',
    ]


def _round(points: str) -> str:
    return " ".join(",".join(f"{float(number):.1f}" for number in point.split(",")) for point in points.split())


def _text(x: float, y: float, words: str, strong: bool = False) -> str:
    kind = ' class="strong"' if strong else ""
    return f'<text{kind} x="{x:.1f}" y="{y:.1f}">{escape(words)}</text>'


def _arrow(x: float, y: float) -> str:
    return f'<path class="arrow" d="M{x:.1f} {y:.1f}h14m-5 -4l5 4l-5 4"/>'


def _short(number: int) -> str:
    """``2097152`` -> ``2.1 M``."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.1f} {letter}"
    return str(number)
