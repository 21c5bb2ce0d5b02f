"""Pictures on a run's page: the most confident errors, and the labels to check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from headstart.report.page import data_url
from headstart.runs.folder import RunFolder
from headstart.runs.label_errors import PICTURES, LabelCheck, LabelToCheck
from headstart.runs.predictions import StoredPredictions
from headstart.runs.thumbnails import read_thumbnails

MAX_ERRORS = 24
"""Most confident errors shown."""
MAX_LABELS = 24
"""Labels to check shown."""


@dataclass(frozen=True)
class ConfidentError:
    """A wrong prediction."""

    filename: str
    label: str
    predicted: str
    probability: float
    """Of the predicted class."""
    of_label: float
    """Of the true class."""
    thumbnail: str | None
    """Data URL of the thumbnail."""


@dataclass(frozen=True)
class SuspiciousLabel:
    """A label to check."""

    row: LabelToCheck
    thumbnail: str | None
    """Data URL of the thumbnail."""


def confident_errors_shown(
    run: RunFolder, predictions: StoredPredictions, classes: Sequence[str]
) -> list[ConfidentError]:
    """The wrong predictions with the highest confidence, with thumbnails where the run has them."""
    predicted, confidence = predictions.probabilities.argmax(axis=1), predictions.probabilities.max(axis=1)
    worst = confident_errors(predictions)
    thumbnails = _urls(read_thumbnails(run, worst))
    return [
        ConfidentError(
            filename=predictions.filenames[row],
            label=classes[predictions.labels[row]],
            predicted=classes[predicted[row]],
            probability=confidence[row],
            of_label=predictions.probabilities[row, predictions.labels[row]],
            thumbnail=thumbnails.get(row),
        )
        for row in worst
    ]


def confident_errors(predictions: StoredPredictions) -> list[int]:
    """Rows of the wrong predictions with the highest confidence, those that the page shows."""
    predicted, confidence = predictions.probabilities.argmax(axis=1), predictions.probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != predictions.labels)
    found: list[int] = wrong[np.argsort(-confidence[wrong], kind="stable")][:MAX_ERRORS].tolist()
    return found


def suspicious_labels(run: RunFolder, check: LabelCheck) -> list[SuspiciousLabel]:
    """The most suspicious labels, with thumbnails."""
    rows = check.rows[:MAX_LABELS]
    thumbnails = _urls(read_thumbnails(run, range(len(rows)), PICTURES))
    return [SuspiciousLabel(row, thumbnails.get(number)) for number, row in enumerate(rows)]


def _urls(thumbnails: Mapping[int, bytes]) -> dict[int, str]:
    return {row: data_url("jpeg", jpeg) for row, jpeg in thumbnails.items()}
