"""The segmentation parts of a run's page: mean IoU, per-class metrics, confusion, worst and best images."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from headstart.analysis.findings import of_features
from headstart.analysis.mask_findings import Shares, mask_findings
from headstart.files import Row
from headstart.metrics.bootstrap import Interval
from headstart.metrics.segmentation import (
    SPECK,
    ConfusedPair,
    SegmentationMetrics,
    confused_pairs,
    image_ious,
    segmentation_metrics,
    worst_and_best,
)
from headstart.palette import Palette
from headstart.report.mask_images import Example, MaskImages, mask_images
from headstart.report.mask_plots import hexadecimal, iou_over_epochs, pixel_confusion
from headstart.report.plots import as_script
from headstart.runs.analysis import FeatureAnalysis
from headstart.runs.confusion import MaskConfusions, read_mask_confusions
from headstart.runs.folder import RunFolder
from headstart.runs.tables import best_epoch
from headstart.runs.training_images import read_groups

MAX_PAIRS = 10
"""Rows in the table of confused pairs."""


@dataclass(frozen=True)
class LegendEntry:
    """A class with its color."""

    name: str
    color: str
    ignored: bool


@dataclass(frozen=True)
class ClassRow:
    """A row of the per-class table; None where a metric is undefined."""

    name: str
    color: str
    iou: Interval | None
    precision: float | None
    recall: float | None
    dice: float | None
    shares: dict[str, float | None]
    """Share of the pixels of each split."""


@dataclass(frozen=True)
class ScoredImage:
    """A validation image with its mean IoU, its share of wrong pixels and its most confused pairs."""

    filename: str
    miou: float
    wrong: float
    pairs: list[tuple[ConfusedPair, float]]
    """With the share of the image's pixels."""
    shown: Example | None


@dataclass(frozen=True)
class MaskSection:
    """What `masks.html.jinja` and `masks_headline.html.jinja` are rendered with, as ``masks``."""

    kept: int | None
    """Epoch of the saved checkpoint, from 1."""
    legend: list[LegendEntry]
    names: Markup
    """JSON for `masks.js`: color -> class."""
    ignored: Sequence[str]
    """Names of the ignored classes."""
    ignored_share: float | None
    """Share of the validation pixels that are ignored."""
    shares: Shares
    speck: float
    images: MaskImages
    worst: list[ScoredImage]
    best: list[ScoredImage]
    confusions: MaskConfusions | None
    per_class: list[ClassRow]
    pairs: list[ConfusedPair]


@dataclass(frozen=True)
class MaskPage:
    """All that a segmentation run adds to its page."""

    section: MaskSection
    metrics: SegmentationMetrics | None
    findings: list[str]
    figures: dict[str, Markup]


def mask_page(
    run: RunFolder,
    palette: Palette,
    rows: Sequence[Row],
    analysis: FeatureAnalysis | None,
    characters: int,
    resamples: int,
) -> MaskPage:
    """The segmentation parts of the page of ``run``; its images together have at most ``characters`` characters.

    ``rows`` are those of `metrics.csv`; ``resamples`` is the number of bootstrap resamples.
    """
    recipe, data = run.recipe, run.data
    confusions = read_mask_confusions(run)
    metrics = None
    if confusions is not None:
        groups = read_groups(run, confusions.filenames)
        metrics = segmentation_metrics(confusions.confusion, palette.classes, resamples, groups=groups)
    epoch = best_epoch(rows, recipe.checkpoint.monitor)
    kept = None if epoch is None else epoch + 1
    shares, ignored = data.get("shares", {}), data.get("ignored", {}).get("val")
    # Images of the validation split, and those labeled worst and best.
    names = [row["filename"] for row in run.feature_images if row["split"] == "val"]
    ious = image_ious(confusions.confusion) if confusions is not None else np.zeros(0)
    worst, best = worst_and_best(ious)
    images = mask_images(run, palette, names, [*worst, *best], kept, characters)

    def scored(selected: Sequence[int]) -> list[ScoredImage]:
        return [_scored(row, images.best.get(row), confusions, ious[row]) for row in selected] if confusions else []

    section = MaskSection(
        kept=kept,
        legend=[_legend_entry(palette, number) for number in range(len(palette.names))],
        names=Markup(as_script(json.dumps(_names_by_color(palette)))),
        ignored=palette.names[len(palette.classes) :],
        ignored_share=ignored,
        shares=shares,
        speck=SPECK,
        images=images,
        worst=scored(worst),
        best=scored(best),
        confusions=confusions,
        per_class=list(_class_rows(confusions, metrics, shares)) if confusions and metrics else [],
        pairs=confused_pairs(confusions.whole, palette.classes)[:MAX_PAIRS] if confusions else [],
    )
    said = mask_findings(rows, recipe.checkpoint.monitor, confusions, shares, ignored)
    return MaskPage(
        section=section,
        metrics=metrics,
        findings=[*said, *(of_features(analysis) if analysis is not None else ())],
        figures=_figures(rows, palette, recipe.train.epochs, kept, confusions),
    )


def _figures(
    rows: Sequence[Row], palette: Palette, epochs: int, kept: int | None, confusions: MaskConfusions | None
) -> dict[str, Markup]:
    figures = {}
    if any(row["split"] == "val" for row in rows):
        figures["ious"] = Markup(iou_over_epochs(rows, palette, epochs, kept))
    if confusions is not None:
        figures["confusion"] = Markup(pixel_confusion(confusions.whole, palette.classes))
    return figures


def _legend_entry(palette: Palette, number: int) -> LegendEntry:
    return LegendEntry(palette.names[number], hexadecimal(palette.colors[number]), number >= len(palette.classes))


def _class_rows(confusions: MaskConfusions, metrics: SegmentationMetrics, shares: Shares) -> Iterator[ClassRow]:
    for number, each in enumerate(metrics.per_class):
        correct = int(confusions.whole[number, number])
        yield ClassRow(
            name=each.name,
            color=hexadecimal(confusions.palette.colors[number]),
            iou=each.iou,
            precision=correct / each.predicted if each.predicted else None,
            recall=correct / each.pixels if each.pixels else None,
            dice=each.dice,
            shares={split: shares[split].get(each.name) for split in ("train", "val") if split in shares},
        )


def _names_by_color(palette: Palette) -> dict[str, str]:
    """Color -> class, the first of those with the same color."""
    pairs = zip(palette.colors, palette.names, strict=True)
    return {hexadecimal(color): name for color, name in reversed(list(pairs))}


def _scored(row: int, shown: Example | None, confusions: MaskConfusions, miou: float) -> ScoredImage:
    pairs, counted = confused_pairs(confusions.confusion[row], confusions.palette.classes), confusions.counted[row]
    return ScoredImage(
        filename=confusions.filenames[row],
        miou=float(miou),
        wrong=confusions.wrong[row] / counted,
        pairs=[(pair, pair.pixels / counted) for pair in pairs[:2]],
        shown=shown,
    )
