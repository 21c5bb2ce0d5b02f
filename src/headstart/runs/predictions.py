"""`predictions.csv`: the predictions for the validation images at the best epoch.

One row per image: filename, label, predicted class, and ``probability_<class>`` to six digits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headstart.errors import HeadstartError
from headstart.runs.folder import RunFolder

NAME = "predictions.csv"
MAX_ERRORS = 24
"""Most confident errors that pages show."""


@dataclass(frozen=True)
class StoredPredictions:
    """Predictions for N validation images at the best epoch."""

    filenames: list[str]
    labels: NDArray[np.int64]
    """(N,): positions in the run's classes."""
    probabilities: NDArray[np.float64]
    """(N, C)"""


def write_predictions(
    run: RunFolder,
    filenames: Sequence[str],
    labels: Sequence[int],
    classes: Sequence[str],
    probabilities: NDArray[np.float32],
) -> None:
    """Write a row per image: ``labels`` are positions in ``classes``, ``probabilities`` is float (N, C)."""
    rows = [
        {
            "filename": filename,
            "label": classes[label],
            "predicted": classes[int(each.argmax())],
            **{f"probability_{name}": f"{p:.6g}" for name, p in zip(classes, each, strict=True)},
        }
        for filename, label, each in zip(filenames, labels, probabilities, strict=True)
    ]
    run.write_table(NAME, rows)


def confident_errors(predictions: StoredPredictions) -> list[int]:
    """Rows of the wrong predictions with the highest confidence; `MAX_ERRORS` at the most."""
    predicted, confidence = predictions.probabilities.argmax(axis=1), predictions.probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != predictions.labels)
    found: list[int] = wrong[np.argsort(-confidence[wrong], kind="stable")][:MAX_ERRORS].tolist()
    return found


def is_predictions_table(header: Sequence[str]) -> bool:
    """Whether a CSV file with these columns is one of predictions, of `headstart predict` or of a run, not of labels.

    That is ``filename,label,confidence`` or ``filename,label,predicted``, and nothing but ``refused`` and
    ``probability_...`` after.
    """
    first, more = [name.strip().casefold() for name in header[:3]], header[3:]
    known = first in (["filename", "label", "confidence"], ["filename", "label", "predicted"])
    names = [name.strip().casefold() for name in more]
    return known and all(name == "refused" or name.startswith("probability_") for name in names)


def read_predictions(run: RunFolder) -> StoredPredictions | None:
    """Read the predictions; None before the first epoch ends. Raises HeadstartError for a damaged file."""
    rows, classes = run.predictions, run.classes
    if not rows:
        return None
    try:
        labels = np.array([classes.index(row["label"]) for row in rows])
        probabilities = np.array([[float(row[f"probability_{name}"]) for name in classes] for row in rows])
        return StoredPredictions([row["filename"] for row in rows], labels, probabilities)
    except (KeyError, ValueError) as error:
        raise HeadstartError(
            f"{run.path / NAME}: expected a label and a probability per class in every row, found {error}",
            run.copy_again,
        ) from None
