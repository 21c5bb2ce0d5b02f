"""Pictures on a run's page: the most confident errors, and the labels to check."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headstart.report.page import data_url
from headstart.runs.folder import RunFolder
from headstart.runs.heat_maps import read_heat_maps
from headstart.runs.label_errors import PICTURES, LabelCheck, LabelToCheck
from headstart.runs.predictions import StoredPredictions, confident_errors
from headstart.runs.thumbnails import read_thumbnails

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
    heat: str | None
    """Data URL of the heat map of the predicted class, to lie over the thumbnail."""


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
    thumbnails, heat = _urls(read_thumbnails(run, worst)), read_heat_maps(run, worst)
    return [
        ConfidentError(
            filename=predictions.filenames[row],
            label=classes[predictions.labels[row]],
            predicted=classes[predicted[row]],
            probability=confidence[row],
            of_label=predictions.probabilities[row, predictions.labels[row]],
            thumbnail=thumbnails.get(row),
            heat=_heat_url(heat[row]) if row in heat and row in thumbnails else None,
        )
        for row in worst
    ]


def suspicious_labels(run: RunFolder, check: LabelCheck) -> list[SuspiciousLabel]:
    """The most suspicious labels, with thumbnails."""
    rows = check.rows[:MAX_LABELS]
    thumbnails = _urls(read_thumbnails(run, range(len(rows)), PICTURES))
    return [SuspiciousLabel(row, thumbnails.get(number)) for number, row in enumerate(rows)]


def _urls(thumbnails: Mapping[int, bytes]) -> dict[int, str]:
    return {row: data_url("jpeg", jpeg) for row, jpeg in thumbnails.items()}


def _heat_url(values: NDArray[np.uint8]) -> str:
    """A heat map, uint8 (H, W), as a URL: orange, the more opaque the higher, in sixteen steps."""
    image = Image.fromarray(values >> 4, "P")
    image.putpalette([255, 90, 0] * 16)
    content = io.BytesIO()
    image.save(content, "PNG", bits=4, transparency=bytes(13 * step for step in range(16)), optimize=True)
    return data_url("png", content.getvalue())
