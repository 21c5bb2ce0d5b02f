"""t-SNE and PCA maps of a run as its page shows them: coordinates over the epochs, classes, thumbnails."""

from __future__ import annotations

import base64
import colorsys
import io
from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from PIL import Image

from headstart.files import Row
from headstart.report.mask_plots import hexadecimal
from headstart.runs.analysis import FeatureAnalysis
from headstart.runs.confusion import read_mask_confusions
from headstart.runs.folder import RunFolder
from headstart.runs.thumbnails import decode_thumbnail, read_thumbnails

MAX_POINTS = 3500
"""Images on a map at the most; of more a sample is shown, so that the page stays small and fast."""
SIDE, ACROSS = 40, 50
"""Pixels of a thumbnail, and thumbnails in a row of the sheet."""
PALETTE = ("#3b82c4", "#e07b39", "#3a9d6e", "#c94f7c", "#8465c5", "#b59a1b", "#28a3b8", "#8b5e3c", "#6b7280", "#d64545")
"""Colors that most kinds of color blindness distinguish, for up to ten classes."""

GRAY = "#8a8f98"
NO_LABEL = "no label"
"""Class name of images without a label."""

Coordinates = list[list[list[float]]]
"""For each epoch the x and the y of each image."""


class EmbeddingView(TypedDict):
    """The data of `maps.js`, for P images and E epochs."""

    classes: list[str]
    colors: list[str]
    outlined: bool
    """Whether points have an outline: colors of a palette may be white or black."""
    labels: list[int]
    """Number of each image's class."""
    splits: list[str]
    files: list[str]
    epochs: list[int]
    variance: list[float | None]
    """Share of each epoch's variance on the axes of the PCA."""
    places: dict[str, Coordinates]
    """'tsne', 'pca' -> coordinates."""
    sheet: str | None
    """All thumbnails in one JPEG, as a data URL."""
    side: int
    across: int
    left_out: int
    """Images that are not shown, beyond `MAX_POINTS`."""


def embedding_view(run: RunFolder, analysis: FeatureAnalysis, rows: Sequence[Row]) -> EmbeddingView:
    """The t-SNE and PCA maps of a run; ``rows`` are those of its `maps.csv`, at least one.

    In a segmentation run, a validation image has the class of most of its pixels.
    """
    images, palette = run.feature_images, run.palette
    labels, classes = _labels(run, images)
    mapped = sorted({row["row"] for row in rows})
    shown = _sample(mapped)
    epochs = sorted({row["epoch"] for row in rows})
    variance = {each.epoch: each.variance for each in analysis.epochs}
    return EmbeddingView(
        classes=classes,
        colors=colors(len(classes)) if palette is None else [*map(hexadecimal, palette.colors), GRAY],
        outlined=palette is not None,
        labels=[labels[row] for row in shown],
        splits=[images[row]["split"] for row in shown],
        files=[images[row]["filename"] for row in shown],
        epochs=epochs,
        variance=[variance[epoch] for epoch in epochs],
        places={kind: _coordinates(kind, rows, shown, epochs) for kind in ("tsne", "pca") if f"{kind}_x" in rows[0]},
        sheet=_sheet(run, shown),
        side=SIDE,
        across=ACROSS,
        left_out=len(mapped) - len(shown),
    )


def _labels(run: RunFolder, images: Sequence[Row]) -> tuple[list[int], list[str]]:
    """The number of each image's class, and the classes, with `NO_LABEL` at the end where it occurs."""
    palette, confusions = run.palette, read_mask_confusions(run)
    classes = list(run.classes if palette is None else palette.names)
    names = [image["label"] for image in images]
    if confusions is not None:  # of the validation images, which come first
        pixels_by_class = confusions.confusion.sum(axis=2)
        for row, pixels in enumerate(pixels_by_class[: len(names)]):
            names[row] = classes[int(pixels.argmax())] if pixels.any() else ""
    if "" in names:
        classes.append(NO_LABEL)
    number = {"": len(classes) - 1} | {name: i for i, name in enumerate(classes)}
    return [number[name] for name in names], classes


def _coordinates(kind: str, rows: Sequence[Row], shown: Sequence[int], epochs: Sequence[int]) -> Coordinates:
    """x and y of the images ``shown`` at each epoch, in their order."""
    position = {row: i for i, row in enumerate(shown)}
    by_epoch = {epoch: [[0.0] * len(shown), [0.0] * len(shown)] for epoch in epochs}
    for row in rows:
        i = position.get(row["row"])
        if i is not None:
            x, y = by_epoch[row["epoch"]]
            x[i], y[i] = row[f"{kind}_x"], row[f"{kind}_y"]
    return [by_epoch[epoch] for epoch in epochs]


def colors(count: int) -> list[str]:
    """A color per class; consecutive ones are far apart in hue (the golden angle), lightness in three steps."""
    if count <= len(PALETTE):
        return list(PALETTE[:count])
    wheel = []
    for i in range(count):
        rgb = colorsys.hls_to_rgb((i * 0.381966) % 1, (0.42, 0.55, 0.66)[i % 3], 0.62)
        wheel.append("#" + "".join(f"{round(255 * part):02x}" for part in rgb))
    return wheel


def _sample(rows: list[int]) -> list[int]:
    if len(rows) <= MAX_POINTS:
        return rows
    return sorted(np.random.default_rng(0).choice(rows, MAX_POINTS, replace=False).tolist())


def _sheet(run: RunFolder, rows: Sequence[int]) -> str | None:
    """All thumbnails in one JPEG, as a data URL; None where the run has none."""
    sheet = Image.new("RGB", (SIDE * ACROSS, SIDE * -(-len(rows) // ACROSS)))
    thumbnails = read_thumbnails(run, rows)
    if not thumbnails:
        return None
    for i, row in enumerate(rows):
        thumbnail = decode_thumbnail(thumbnails[row]) if row in thumbnails else None
        if thumbnail is not None:
            small = thumbnail.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
            sheet.paste(small, (SIDE * (i % ACROSS), SIDE * (i // ACROSS)))
    content = io.BytesIO()
    sheet.save(content, "JPEG", quality=55)
    return "data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode()
