"""Architecture diagram as SVG: backbone stages as blocks, their height by resolution, and the head layer by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from headstart.report.decoder_diagram import decoder
from headstart.report.svg import COLUMN, GAP, LINE, TALLEST, TOP, arrow, box, image_slab, short, slab, text


def drawing(network: Mapping[str, Any]) -> Markup:
    """The SVG of `architecture.json`; all names are escaped."""
    parts, width, below = _backbone(network)
    if "sides" in network:
        more, right, height = decoder(network, below)
        width = max(width, right)
    else:
        more, width, height = _head(network["head"], width)
    height = max(below, height)
    title = f"{network['parameters']:,} parameters, {network['trained']:,} of them trained"
    return Markup(
        f'<svg class="architecture" viewBox="0 0 {width:.0f} {height:.0f}" style="min-width:{width * 0.72:.0f}px"'
        f' role="img" xmlns="http://www.w3.org/2000/svg"><title>{title}</title>{"".join([*parts, *more])}</svg>'
    )


def _backbone(network: Mapping[str, Any]) -> tuple[list[str], float, float]:
    """SVG parts of the input and the stages, their width, and the bottom of their text."""
    columns = [image_slab(network["input"]), *(_stage(stage, network["input"]) for stage in network["backbone"])]
    parts: list[str] = []
    for number, column in enumerate(columns):
        parts += slab(number * (COLUMN + GAP) + COLUMN / 2, column)
        if number:
            parts.append(arrow(number * (COLUMN + GAP) - GAP - 8, TOP + TALLEST / 2))
    lines = max(len(column["text"]) for column in columns)
    return parts, len(columns) * (COLUMN + GAP), TOP + TALLEST + 18 + lines * LINE + 8


def _stage(stage: Mapping[str, Any], image: Sequence[int]) -> dict[str, Any]:
    shape = stage["shape"]
    layers = [
        (f"{each['count']} × " if each["count"] > 1 else "") + f"{each['kind']}, {each['channels']}"
        for each in stage["layers"]
    ]
    count = [f"{short(stage['parameters'])} parameters"] if stage["parameters"] else []
    return {
        "side": shape[1] / image[1] if len(shape) == 3 else 0.0,
        "channels": shape[0] if len(shape) == 3 else shape[-1],
        "class": "stage",
        "text": [" × ".join(map(str, shape)), *layers, *count],
    }


def _head(layers: Sequence[Mapping[str, Any]], left: float) -> tuple[list[str], float, float]:
    """SVG parts of a head, layer below layer, and their right and bottom edges."""
    if not layers:
        return [], left, 0.0
    parts = [text(left + 100, TOP - 10, "head", True), arrow(left - 10, TOP + TALLEST / 2)]
    for number, layer in enumerate(layers):
        width = " × ".join(map(str, layer["shape"]))
        count = f" ({short(layer['parameters'])})" if layer["parameters"] else ""
        words = f"{layer['kind']} → {width}{count}"
        parts += box(left + 12, TOP + number * 30, 176, 24, [words], bool(layer["parameters"]))
    return parts, left + 190, TOP + len(layers) * 30 + 30
