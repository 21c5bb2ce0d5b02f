"""t-SNE and PCA maps as pages show them: one run's, or those of several runs linked image by image."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from typing import TypedDict

import numpy as np

from headstart.files import Row
from headstart.report.map_data import MAX_PLACES, MapData, MapSource, map_data
from headstart.report.mask_plots import hexadecimal
from headstart.report.thumbnail_sheet import ACROSS, MAX_IMAGES, image_folder, thumbnail_sheet
from headstart.runs.analysis import FeatureAnalysis
from headstart.runs.confusion import read_mask_confusions
from headstart.runs.folder import RunFolder

MAX_POINTS = MAX_IMAGES
"""Images on a map at the most; of more a sample is shown."""
MIN_POINTS = 50
"""Images that a map needs: of fewer, clusters are accidents."""
PALETTE = ("#3b82c4", "#e07b39", "#3a9d6e", "#c94f7c", "#8465c5", "#b59a1b", "#28a3b8", "#8b5e3c", "#6b7280", "#d64545")
"""Colors that most kinds of color blindness distinguish, for up to ten classes."""

GRAY = "#8a8f98"
NO_LABEL = "no label"
"""Class name of images without a label."""


class EmbeddingView(TypedDict):
    """The data of `maps.js`, for P images."""

    classes: list[str]
    colors: list[str]
    outlined: bool
    """Whether points have an outline: colors of a palette may be white or black."""
    labels: list[int]
    """Number of each image's class."""
    unlabeled: int
    """The number of the class `NO_LABEL`, -1 where every image has a label."""
    splits: list[str]
    files: list[str]
    maps: list[MapData]
    """One for each run, all of the same images."""
    sheet: str | None
    """All thumbnails in one JPEG, as a data URL."""
    side: int
    """Of a thumbnail, in pixels."""
    across: int
    folder: str
    """Where the files are, as a URL; may be empty."""
    run: str
    """The way from the page to the folder of their run, as a URL that ends with a slash; empty beside it."""
    left_out: int
    """Images that are not shown, beyond `MAX_POINTS`."""


def embedding_view(run: RunFolder, analysis: FeatureAnalysis, rows: Sequence[Row]) -> EmbeddingView:
    """The t-SNE and PCA maps of a run; ``rows`` are those of its `maps.csv`, at least one.

    In a segmentation run, a validation image has the class of most of its pixels.
    """
    mapped = sorted({row["row"] for row in rows})
    return linked_view([MapSource("", run, analysis, rows, sample(mapped))], len(mapped), "")


def linked_view(sources: Sequence[MapSource], of: int, way: str) -> EmbeddingView:
    """Maps of the same images by several runs, in the same order in each; ``of`` is how many images there are.

    Labels, palette and thumbnails are those of the first run, to whose folder ``way`` leads from the page.
    """
    run, shown = sources[0].run, sources[0].shown
    images, palette = run.feature_images, run.palette
    labels, classes = _labels(run, images)
    of_shown = [labels[row] for row in shown]
    numbers = np.array(of_shown, dtype=np.int64)
    sheet, side = thumbnail_sheet(run, shown)
    return EmbeddingView(
        classes=classes,
        colors=colors(len(classes)) if palette is None else [*map(hexadecimal, palette.colors), GRAY],
        outlined=palette is not None,
        labels=of_shown,
        unlabeled=len(classes) - 1 if len(classes) > len(run.classes if palette is None else palette.names) else -1,
        splits=[images[row]["split"] for row in shown],
        files=[images[row]["filename"] for row in shown],
        maps=[map_data(source, numbers, classes, MAX_PLACES // len(sources)) for source in sources],
        sheet=sheet,
        side=side,
        across=ACROSS,
        folder=image_folder(run),
        run=way,
        left_out=of - len(shown),
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


def colors(count: int) -> list[str]:
    """A color per class; consecutive ones are far apart in hue (the golden angle), lightness in three steps."""
    if count <= len(PALETTE):
        return list(PALETTE[:count])
    wheel = []
    for i in range(count):
        rgb = colorsys.hls_to_rgb((i * 0.381966) % 1, (0.42, 0.55, 0.66)[i % 3], 0.62)
        wheel.append("#" + "".join(f"{round(255 * part):02x}" for part in rgb))
    return wheel


def sample(rows: list[int]) -> list[int]:
    """`MAX_POINTS` of ``rows`` at the most, the same ones each time."""
    if len(rows) <= MAX_POINTS:
        return rows
    return sorted(np.random.default_rng(0).choice(rows, MAX_POINTS, replace=False).tolist())
