"""The maps of a run as the page draws them: places of the images over the epochs, their classes, their pictures."""

from __future__ import annotations

import base64
import colorsys
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from headstart.analysis.feature_analysis import FeatureAnalysis
from headstart.files import Row
from headstart.report.mask_plots import hexadecimal
from headstart.report.plots import GRAY
from headstart.runs.confusion import read_mask_confusions
from headstart.runs.folder import RunFolder
from headstart.runs.thumbnails import read_thumbnails

DRAWN = 3500
"""Images on a map at the most: beyond it a sample is drawn, so that the page stays small and quick."""
SIDE, ACROSS = 40, 50
"""Pixels of a small picture, and pictures in a line of the sheet that holds them all."""
FEW = ("#3b82c4", "#e07b39", "#3a9d6e", "#c94f7c", "#8465c5", "#b59a1b", "#28a3b8", "#8b5e3c", "#6b7280", "#d64545")
"""Colors told apart by most kinds of color blindness, for up to ten classes."""

UNKNOWN = "no label"
"""What images of no class are called."""


def map_facts(run: RunFolder, learned: FeatureAnalysis, rows: Sequence[Row]) -> dict[str, Any]:
    """What the page's script draws, as plain values; ``rows`` are those of the run's maps, at least one.

    Of a run that answers with masks, a validation image is of the class of most of its pixels.
    """
    images, palette, answers = run.feature_images, run.palette, read_mask_confusions(run)
    classes = run.classes if palette is None else list(palette.names)
    if answers is not None:
        for image, pixels in zip(images, answers.confusion.sum(axis=2), strict=False):  # they are the first
            image["label"] = classes[int(pixels.argmax())] if pixels.any() else ""
    if any(not image["label"] for image in images):
        classes = [*classes, UNKNOWN]
    number = {"": len(classes) - 1} | {name: i for i, name in enumerate(classes)}
    mapped = sorted({row["row"] for row in rows})
    drawn = _sample(mapped)
    place = {row: i for i, row in enumerate(drawn)}
    kinds = [kind for kind in ("tsne", "pca") if f"{kind}_x" in rows[0]]
    epochs = sorted({row["epoch"] for row in rows})
    places = {kind: {epoch: [[0.0] * len(drawn), [0.0] * len(drawn)] for epoch in epochs} for kind in kinds}
    for row in rows:
        i = place.get(row["row"])
        if i is not None:
            for kind in kinds:
                x, y = places[kind][row["epoch"]]
                x[i], y[i] = row[f"{kind}_x"], row[f"{kind}_y"]
    of_epoch = {each.epoch: each for each in learned.epochs}
    return {
        "classes": classes,
        "colors": colors(len(classes)) if palette is None else [*map(hexadecimal, palette.colors), GRAY],
        "outlined": palette is not None,
        "labels": [number[images[row]["label"]] for row in drawn],
        "splits": [images[row]["split"] for row in drawn],
        "files": [images[row]["filename"] for row in drawn],
        "epochs": epochs,
        "variance": [of_epoch[epoch].variance for epoch in epochs],
        "places": {kind: [places[kind][epoch] for epoch in epochs] for kind in kinds},
        "sheet": _sheet(run, drawn),
        "side": SIDE,
        "across": ACROSS,
        "left_out": len(mapped) - len(drawn),
    }


def colors(count: int) -> list[str]:
    """A color per class, neighbors far apart on the wheel (the golden angle), lightness in three steps."""
    if count <= len(FEW):
        return list(FEW[:count])
    wheel = []
    for i in range(count):
        rgb = colorsys.hls_to_rgb((i * 0.381966) % 1, (0.42, 0.55, 0.66)[i % 3], 0.62)
        wheel.append("#" + "".join(f"{round(255 * part):02x}" for part in rgb))
    return wheel


def _sample(rows: list[int]) -> list[int]:
    if len(rows) <= DRAWN:
        return rows
    return sorted(np.random.default_rng(0).choice(rows, DRAWN, replace=False).tolist())


def _sheet(run: RunFolder, rows: Sequence[int]) -> str | None:
    """All pictures in one JPEG, as a data URL; None where the run has none."""
    sheet = Image.new("RGB", (SIDE * ACROSS, SIDE * -(-len(rows) // ACROSS)))
    thumbnails = read_thumbnails(run, rows)
    if not thumbnails:
        return None
    for i, row in enumerate(rows):
        if row in thumbnails:
            with Image.open(io.BytesIO(thumbnails[row])) as picture:
                small = picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
            sheet.paste(small, (SIDE * (i % ACROSS), SIDE * (i // ACROSS)))
    content = io.BytesIO()
    sheet.save(content, "JPEG", quality=55)
    return "data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode()
