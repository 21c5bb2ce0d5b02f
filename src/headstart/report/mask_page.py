"""What the page of a run of masks shows in the place of a classifier's answers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from headstart.analysis.feature_analysis import FeatureAnalysis
from headstart.analysis.findings import of_features
from headstart.analysis.mask_findings import Shares, mask_findings
from headstart.files import Row
from headstart.metrics.segmentation import (
    SPECK,
    SegmentationMetrics,
    confused_pairs,
    image_ious,
    segmentation_metrics,
    worst_and_best,
)
from headstart.palette import Palette
from headstart.report.mask_images import Followed, mask_pictures
from headstart.report.mask_plots import hexadecimal, iou_over_epochs, pixel_confusion
from headstart.report.plots import as_script
from headstart.runs.confusion import MaskConfusions, read_mask_confusions
from headstart.runs.folder import RunFolder, best_epoch

PAIRS = 10
"""Lines in the table of confused pairs."""


def mask_context(
    run: RunFolder, palette: Palette, rows: Sequence[Row], learned: FeatureAnalysis | None, room: int, resamples: int
) -> dict[str, Any]:
    """What the templates take of a run of masks; its pictures together have at most ``room`` characters."""
    recipe, data = run.recipe, run.data
    answers = read_mask_confusions(run)
    measures = segmentation_metrics(answers.confusion, palette.classes, resamples) if answers is not None else None
    best = best_epoch(rows, recipe.checkpoint.monitor)
    kept = None if best is None else best + 1
    shares, ignored = data.get("shares", {}), data.get("ignored", {}).get("val")
    said = mask_findings(rows, recipe.checkpoint.monitor, answers, shares, ignored)
    masks: dict[str, Any] = {
        "kept": kept,
        "legend": [_chip(palette, number) for number in range(len(palette.names))],
        "names": Markup(as_script(json.dumps(_names(palette)))),
        "ignored": palette.names[len(palette.classes) :],
        "ignored_share": ignored,
        "shares": shares,
        **_pictured(run, palette, answers, kept, room),
    }
    if answers is not None and measures is not None:
        masks |= {
            "answers": answers,
            "per_class": list(_classes(answers, measures, shares)),
            "pairs": confused_pairs(answers.whole, palette.classes)[:PAIRS],
        }
    return {
        "masks": masks,
        "measured": measures,
        "findings": [*said, *(of_features(learned) if learned is not None else ())],
        "figures": _figures(rows, palette, recipe.train.epochs, kept, answers),
    }


def _pictured(
    run: RunFolder, palette: Palette, answers: MaskConfusions | None, kept: int | None, room: int
) -> dict[str, Any]:
    """Images over the epochs, and the worst and best of the kept one."""
    names = [row["filename"] for row in run.feature_images if row["split"] == "val"]
    figures = image_ious(answers.confusion) if answers is not None else np.zeros(0)
    worst, good = worst_and_best(figures)
    pictures = mask_pictures(run, palette, names, [*worst, *good], kept, room)
    shown: dict[str, Any] = {"speck": SPECK, "pictures": pictures, "worst": [], "good": []}
    if answers is not None:
        shown["worst"] = [_told(row, pictures.kept.get(row), answers, figures[row]) for row in worst]
        shown["good"] = [_told(row, pictures.kept.get(row), answers, figures[row]) for row in good]
    return shown


def _figures(
    rows: Sequence[Row], palette: Palette, epochs: int, kept: int | None, answers: MaskConfusions | None
) -> dict[str, Markup]:
    drawn = {}
    if any(row["split"] == "val" for row in rows):
        drawn["ious"] = Markup(iou_over_epochs(rows, palette, epochs, kept))
    if answers is not None:
        drawn["confusion"] = Markup(pixel_confusion(answers.whole, palette.classes))
    return drawn


def _chip(palette: Palette, number: int) -> dict[str, Any]:
    ignored = number >= len(palette.classes)
    return {"name": palette.names[number], "color": hexadecimal(palette.colors[number]), "ignored": ignored}


def _classes(answers: MaskConfusions, measures: SegmentationMetrics, shares: Shares) -> Iterator[dict[str, Any]]:
    """A line of the table of classes each."""
    for number, each in enumerate(measures.per_class):
        right = int(answers.whole[number, number])
        yield {
            "name": each.name,
            "color": hexadecimal(answers.palette.colors[number]),
            "iou": each.iou,
            "precision": right / each.predicted if each.predicted else None,
            "recall": right / each.pixels if each.pixels else None,
            "dice": each.dice,
            "shares": {split: shares[split].get(each.name) for split in ("train", "val") if split in shares},
        }


def _names(palette: Palette) -> dict[str, str]:
    """Color -> class, the first where two are painted alike."""
    pairs = zip(palette.colors, palette.names, strict=True)
    return {hexadecimal(color): name for color, name in reversed(list(pairs))}


def _told(row: int, shown: Followed | None, answers: MaskConfusions, figure: float) -> dict[str, Any]:
    """One image, and what is wrong with it."""
    pairs, counted = confused_pairs(answers.confusion[row], answers.palette.classes), answers.counted[row]
    return {
        "filename": answers.filenames[row],
        "miou": float(figure),
        "wrong": answers.wrong[row] / counted,
        "pairs": [(pair, pair.pixels / counted) for pair in pairs[:2]],
        "shown": shown,
    }
