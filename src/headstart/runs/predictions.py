"""What the kept weights said of the validation images, read back from `predictions.csv`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headstart.errors import HeadstartError
from headstart.runs.folder import RunFolder


@dataclass(frozen=True)
class StoredPredictions:
    """What the kept weights said of the validation images."""

    filenames: list[str]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float64]


def read_predictions(run: RunFolder) -> StoredPredictions | None:
    """The run's ``predictions.csv`` as arrays; None before there is one. Raises HeadstartError for a broken file."""
    rows, classes = run.predictions, run.classes
    if not rows:
        return None
    try:
        labels = np.array([classes.index(row["label"]) for row in rows])
        probabilities = np.array([[float(row[f"probability_{name}"]) for name in classes] for row in rows])
        return StoredPredictions([row["filename"] for row in rows], labels, probabilities)
    except (KeyError, ValueError) as error:
        raise HeadstartError(
            f"{run.path / 'predictions.csv'}: expected a label and a probability per class in every row, found {error}",
            f"remove the file, or headstart fit {run.path / 'recipe.toml'} DATA",
        ) from None
