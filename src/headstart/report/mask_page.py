"""The segmentation parts of a run's page: mean IoU, per-class metrics, confusion, the viewer and its images."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from headstart.analysis.findings import of_features
from headstart.analysis.mask_findings import Shares, mask_findings, of_phantoms
from headstart.files import Row
from headstart.metrics.bootstrap import Interval
from headstart.metrics.segmentation import (
    SPECK,
    ConfusedPair,
    SegmentationMetrics,
    confused_pairs,
    image_ious,
    phantoms,
    segmentation_metrics,
)
from headstart.palette import Palette
from headstart.report.mask_plots import hexadecimal, iou_over_epochs, pixel_confusion
from headstart.report.mask_viewer import ViewedImage, mask_viewer
from headstart.report.plots import as_script
from headstart.runs.analysis import FeatureAnalysis
from headstart.runs.confusion import MaskConfusions, read_mask_confusions
from headstart.runs.folder import RunFolder
from headstart.runs.tables import best_epoch
from headstart.runs.training_images import read_groups

MAX_PAIRS = 10
"""Rows in the table of confused pairs."""
MAX_VIEWER = 5_000_000
"""Characters of the viewer's pictures."""


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
    phantom: bool
    """Whether it is in the predictions alone."""


@dataclass(frozen=True)
class ScoredImage:
    """A validation image of the viewer with its mean IoU, its share of wrong pixels and its most confused pairs."""

    name: str
    filename: str
    miou: float | None
    """None where all of it is ignored."""
    wrong: float | None
    pairs: list[tuple[ConfusedPair, float]]
    """With the share of the image's pixels."""


@dataclass(frozen=True)
class ShownPair:
    """A pair of confused classes, with their numbers."""

    pair: ConfusedPair
    truth: int
    predicted: int


@dataclass(frozen=True)
class MaskSection:
    """What `masks.html.jinja` and `masks_convention.html.jinja` are rendered with, as ``masks``."""

    kept: int | None
    """Epoch of the saved checkpoint, from 1."""
    legend: list[LegendEntry]
    data: Markup
    """JSON for `masks.js`: a `MaskViewer`."""
    ignored: Sequence[str]
    """Names of the ignored classes."""
    ignored_share: float | None
    """Share of the validation pixels that are ignored."""
    shares: Shares
    speck: float
    images: int
    """Images in the viewer."""
    scored: list[ScoredImage]
    """Their figures, the lowest IoU first."""
    epochs: list[int]
    """Counted from 1: those with predictions in the viewer."""
    uncertainty: bool
    """Whether the viewer has any."""
    phantoms: str
    """What classes cost that no image has; empty without any."""
    phantom: int | None
    """The number of the first of them."""
    confusions: MaskConfusions | None
    per_class: list[ClassRow]
    pairs: list[ShownPair]


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
    names = [row["filename"] for row in run.feature_images if row["split"] == "val"]
    viewer = mask_viewer(run, palette, names, confusions, kept, min(characters, MAX_VIEWER))
    images, found = viewer["images"], phantoms(confusions.whole).classes if confusions is not None else ()
    section = MaskSection(
        kept=kept,
        legend=[_legend_entry(palette, number) for number in range(len(palette.names))],
        data=Markup(as_script(json.dumps(viewer, separators=(",", ":")))),
        ignored=palette.names[len(palette.classes) :],
        ignored_share=ignored,
        shares=shares,
        speck=SPECK,
        images=len(images),
        scored=_scored(images, names, confusions),
        epochs=sorted({each["epoch"] for image in images for each in image["predictions"]}),
        uncertainty=any(image["uncertainty"] for image in images),
        phantoms=of_phantoms(confusions) if confusions is not None else "",
        phantom=found[0] if found else None,
        confusions=confusions,
        per_class=list(_class_rows(confusions, metrics, shares)) if confusions and metrics else [],
        pairs=_pairs(confusions) if confusions else [],
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
            phantom=bool(each.predicted and not each.pixels),
        )


def _pairs(confusions: MaskConfusions) -> list[ShownPair]:
    numbers = {name: number for number, name in reversed([*enumerate(confusions.palette.classes)])}
    found = confused_pairs(confusions.whole, confusions.palette.classes)[:MAX_PAIRS]
    return [ShownPair(pair, numbers[pair.truth], numbers[pair.predicted]) for pair in found]


def _scored(
    images: Sequence[ViewedImage], filenames: Sequence[str], confusions: MaskConfusions | None
) -> list[ScoredImage]:
    """Figures of the viewer's images by the saved checkpoint; without a confusion matrix none."""
    if confusions is None:
        return []
    rows = {name: row for row, name in enumerate(filenames)}
    ious, found = image_ious(confusions.confusion), []
    for image in images:
        row = rows[image["file"]]
        counted = int(confusions.counted[row])
        pairs = confused_pairs(confusions.confusion[row], confusions.palette.classes) if counted else []
        found.append(
            ScoredImage(
                name=image["name"],
                filename=image["file"],
                miou=float(ious[row]) if counted else None,
                wrong=confusions.wrong[row] / counted if counted else None,
                pairs=[(pair, pair.pixels / counted) for pair in pairs[:2]],
            )
        )
    return sorted(found, key=lambda each: 2.0 if each.miou is None else each.miou)
