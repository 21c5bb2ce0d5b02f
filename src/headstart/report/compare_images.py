"""Images that one run mends and another breaks, with thumbnails, and with masks the prediction of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headstart.comparison.run_comparison import RunComparison
from headstart.report.mask_images import Example, mask_images
from headstart.report.page import data_url
from headstart.runs.tables import best_epoch
from headstart.runs.thumbnails import read_thumbnails

SHOWN = 24
"""Images on each side of a pair of classifiers, at the most; all pairs share twice as many pairs of them."""
SHOWN_MASKS = 6
MAX_CHARACTERS = 1_500_000
"""Of the masks of a pair of entries."""


@dataclass(frozen=True)
class ChangedImage:
    """A shared image by two entries."""

    filename: str
    truth: str
    """Its label; empty with masks."""
    one: str
    """'hat 93 %' or, with masks, 'IoU 41 %': by the first entry's first run."""
    two: str
    thumbnail: str | None
    """Data URL."""
    examples: tuple[Example, ...] = ()
    """With masks, image, truth and prediction by each of the two; empty where one of them saved none."""


@dataclass(frozen=True)
class ChangedImages:
    """What the second of two entries mends and breaks, and how many images that are in all."""

    one: int
    two: int
    mended: int
    broken: int
    shown_mended: tuple[ChangedImage, ...]
    shown_broken: tuple[ChangedImage, ...]


def changed_images(comparison: RunComparison) -> list[ChangedImages]:
    """The changes of every entry against the first; the more entries, the fewer images of each."""
    others = range(1, len(comparison.entries))
    masks = comparison.shared.labels is None
    most = max(4, (SHOWN_MASKS if masks else SHOWN) // len(others))
    found = []
    for two in others:
        changes = comparison.changes(0, two)
        rows = [changes.mended[:most], changes.broken[:most]]
        pictures = _pictures(comparison, two, [row for part in rows for row in part])
        shown = [tuple(_image(comparison, two, row, pictures.get(row)) for row in part) for part in rows]
        found.append(ChangedImages(0, two, len(changes.mended), len(changes.broken), *shown))
    return found


Pictures = tuple[str | None, tuple[Example, ...]]


def _pictures(comparison: RunComparison, two: int, rows: Sequence[int]) -> dict[int, Pictures]:
    """Of shared images: a thumbnail from whichever run has one, and with masks the examples of both."""
    thumbnails: dict[int, str] = {}
    for entry, judged in zip(comparison.entries, comparison.shared.judged, strict=True):
        for run, own in zip(entry.runs, judged.rows, strict=True):
            left = [row for row in rows if row not in thumbnails]
            if left:
                stored = read_thumbnails(run, [int(own[row]) for row in left])
                thumbnails |= {row: data_url("jpeg", stored[int(own[row])]) for row in left if int(own[row]) in stored}
    examples = [_examples(comparison, number, rows) for number in (0, two)] if comparison.shared.palette else []
    return {
        row: (thumbnails.get(row), tuple(each[row] for each in examples) if all(row in e for e in examples) else ())
        for row in rows
    }


def _examples(comparison: RunComparison, number: int, rows: Sequence[int]) -> dict[int, Example]:
    """Image, truth and prediction of the entry's first run, of those images whose masks it saved."""
    run, own = comparison.entries[number].runs[0], comparison.shared.judged[number].rows[0]
    palette = run.palette
    assert palette is not None
    names = [each["filename"] for each in run.feature_images if each["split"] == "val"]
    best = best_epoch(run.metrics, run.recipe.checkpoint.monitor)
    kept = None if best is None else best + 1
    found = mask_images(run, palette, names, [int(own[row]) for row in rows], kept, MAX_CHARACTERS)
    return {row: found[int(own[row])] for row in rows if int(own[row]) in found}


def _image(comparison: RunComparison, two: int, row: int, pictures: Pictures | None) -> ChangedImage:
    thumbnail, examples = pictures or (None, ())
    shared = comparison.shared
    said = [_said(comparison, number, row) for number in (0, two)]
    truth = "" if shared.labels is None else shared.classes[shared.labels[row]]
    return ChangedImage(shared.filenames[row], truth, said[0], said[1], thumbnail, examples)


def _said(comparison: RunComparison, number: int, row: int) -> str:
    """What an entry says of an image: of a classifier its first run, with masks the mean over its runs."""
    judged = comparison.shared.judged[number]
    if judged.predicted is None or judged.confidence is None:
        return f"IoU {100 * float(np.nanmean(judged.of_image[:, row])):.0f} %"
    several = len(judged.scores)
    right = f", right with {int(judged.scores[:, row].sum())} of {several} seeds" if several > 1 else ""
    name = comparison.shared.classes[judged.predicted[0, row]]
    return f"{name} {100 * judged.confidence[0, row]:.0f} %{right}"
