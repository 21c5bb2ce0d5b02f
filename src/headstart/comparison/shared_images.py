"""Predictions for the validation images that all compared runs share: same name, same label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.comparison.metric import METRICS, Metric
from headstart.comparison.run_entries import Entry
from headstart.errors import HeadstartError, quoted
from headstart.metrics.bootstrap import Floats
from headstart.metrics.pseudo_values import pseudo_values
from headstart.metrics.segmentation import image_ious
from headstart.palette import Palette
from headstart.runs.confusion import MaskConfusions, read_mask_confusions
from headstart.runs.folder import RunFolder
from headstart.runs.predictions import StoredPredictions, read_predictions
from headstart.runs.training_images import read_groups

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Judged:
    """An entry on the N shared images, over its S runs."""

    scores: Floats
    """(S, N): 1 where the prediction is correct; with masks the pseudo-values, whose mean is the mean IoU."""
    of_image: Floats
    """(S, N): the same, with masks each image's own mean IoU; nan where all of it is ignored."""
    rows: tuple[Counts, ...]
    """Of each run, (N,): the rows of its stored predictions."""
    validated: int
    """Validation images of its first run."""
    predicted: Counts | None = None
    """(S, N): predicted classes."""
    confidence: Floats | None = None
    """(S, N): probabilities of the predicted classes."""
    confusion: Counts | None = None
    """(S, N, K, K): with masks, pixels by class and predicted class."""


@dataclass(frozen=True)
class SharedImages:
    """The images that are judged, and what every entry predicts for them."""

    filenames: tuple[str, ...]
    classes: tuple[str, ...]
    metric: Metric
    judged: tuple[Judged, ...]
    labels: Counts | None
    """(N,): positions in ``classes``; None with masks."""
    groups: list[int] | None
    """The group (patient, video) of each image; None where no two images share one."""
    relabeled: int
    """Images with another label in another run, which are left out."""
    resized: bool
    """With masks, whether runs were validated on other sizes of the same masks."""
    palette: Palette | None = None

    @property
    def baseline(self) -> float:
        """Majority-class baseline on these images; with masks, over the classes that occur or are predicted."""
        if self.labels is not None:
            return float(np.bincount(self.labels).max() / len(self.labels))
        confusions = [each.confusion for each in self.judged if each.confusion is not None]
        pixels = confusions[0][0].sum(axis=(0, 2))
        known = sum(each.sum(axis=(0, 1, 2)) + each.sum(axis=(0, 1, 3)) for each in confusions)
        return float(pixels.max() / pixels.sum() / np.count_nonzero(known))


def read_shared_images(entries: Sequence[Entry]) -> SharedImages:
    """Read what the runs of all entries predict for the images that they share.

    Raises HeadstartError for runs of different tasks or classes, without predictions, and without a common image.
    """
    runs = [run for entry in entries for run in entry.runs]
    first, classes = runs[0], tuple(runs[0].classes)
    for run in runs:
        _require_alike(first, run)
    stored = [_read(run) for run in runs]
    places = [{name: row for row, name in enumerate(each.filenames)} for each in stored]
    labels = [_labels(run, each) for run, each in zip(runs, stored, strict=True)]
    common = [name for name in stored[0].filenames if all(name in place for place in places)]
    same = [
        name for name in common if len({of[place[name]] for of, place in zip(labels, places, strict=True) if of}) < 2
    ]
    if not same:
        counts = ", ".join(f"{run.path}: {len(each.filenames):,}" for run, each in zip(runs, stored, strict=True))
        found = f"{len(common):,} of the same name, each with another label" if common else "none in common"
        raise HeadstartError(
            f"compare: expected runs validated on the same images, found {found} (images of {counts})",
            f"headstart evaluate {quoted(first.path)} DATA, and the same for the others",
        )
    rows = [np.array([place[name] for name in same], dtype=np.int64) for place in places]
    orders = [np.array([run.classes.index(name) for name in classes], dtype=np.int64) for run in runs]
    pieces = [_judged(*each) for each in zip(runs, stored, rows, orders, strict=True)]
    left = iter(pieces)
    judged = [_stacked([next(left) for _ in entry.runs]) for entry in entries]
    truths = [each.confusion.sum(axis=3)[0] for each in judged if each.confusion is not None]
    found_groups = (read_groups(run, same) for run in runs)
    return SharedImages(
        filenames=tuple(same),
        classes=classes,
        metric=METRICS["accuracy" if first.palette is None else "miou"],
        judged=tuple(judged),
        labels=stored[0].labels[rows[0]] if isinstance(stored[0], StoredPredictions) else None,
        groups=next((groups for groups in found_groups if groups is not None), None),
        relabeled=len(common) - len(same),
        resized=any(not np.array_equal(each, truths[0]) for each in truths),
        palette=first.palette,
    )


def _require_alike(first: RunFolder, run: RunFolder) -> None:
    tasks = [each.recipe.task for each in (first, run)]
    masks = [each.palette is not None for each in (first, run)]
    if masks[0] != masks[1]:
        raise HeadstartError(
            f"{run.path}: expected a run of the same task as {first.path} ({tasks[0]}), found {tasks[1]}",
            "headstart compare with runs of one task",
        )
    if set(first.classes) != set(run.classes):
        missing = sorted(set(first.classes) ^ set(run.classes))
        raise HeadstartError(
            f"{run.path}: expected the classes of {first.path}, found {len(missing)} that one of them lacks"
            f" ({', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''})",
            "headstart compare with runs of the same classes",
        )


def _read(run: RunFolder) -> StoredPredictions | MaskConfusions:
    found = read_predictions(run) if run.palette is None else read_mask_confusions(run)
    if found is None:
        raise HeadstartError(
            f"{run.path}: expected a run with predictions for its validation images, found none"
            f" (its task is {run.recipe.task})",
            "headstart compare with runs that were trained with labels",
        )
    return found


def _labels(run: RunFolder, stored: StoredPredictions | MaskConfusions) -> list[str]:
    """The label of each image; empty with masks."""
    if isinstance(stored, MaskConfusions):
        return []
    classes = run.classes
    return [classes[label] for label in stored.labels]


def _judged(run: RunFolder, stored: StoredPredictions | MaskConfusions, rows: Counts, order: Counts) -> Judged:
    """One run on the shared images, in ``rows`` of its predictions; ``order`` are its outputs for the classes."""
    if isinstance(stored, MaskConfusions):
        confusion = stored.confusion[np.ix_(rows, order, order)]
        if not confusion.any():
            raise HeadstartError(
                f"{run.path}: expected labeled pixels in the {len(rows):,} images that all runs share, found none",
                "headstart compare with other runs",
            )
        scores, ious = pseudo_values(confusion), image_ious(confusion)
        return Judged(scores[None], ious[None], (rows,), len(stored.filenames), confusion=confusion[None])
    p = stored.probabilities[np.ix_(rows, order)]
    labels = np.argsort(order)[stored.labels[rows]]
    predicted = p.argmax(axis=1)
    correct = (predicted == labels).astype(np.float64)[None]
    return Judged(correct, correct, (rows,), len(stored.filenames), predicted[None], p.max(axis=1)[None])


def _stacked(pieces: Sequence[Judged]) -> Judged:
    """The runs of an entry as one."""

    def joined(parts: Sequence[NDArray[Any] | None]) -> NDArray[Any] | None:
        there = [each for each in parts if each is not None]
        return np.concatenate(there) if there else None

    return Judged(
        scores=np.concatenate([each.scores for each in pieces]),
        of_image=np.concatenate([each.of_image for each in pieces]),
        rows=tuple(row for each in pieces for row in each.rows),
        validated=pieces[0].validated,
        predicted=joined([each.predicted for each in pieces]),
        confidence=joined([each.confidence for each in pieces]),
        confusion=joined([each.confusion for each in pieces]),
    )
