"""Class predictions for image files, with the same pixels, arithmetic and batches as validation in `fit`.

No torch: what classifies is a `Model`, or an `OnnxModel`, which does without.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from headstart.allocator import freed_memory_kept
from headstart.data.csv_files import read_rows, require_column
from headstart.data.parallel import Progress
from headstart.data.streaming import stream
from headstart.errors import HeadstartError
from headstart.files import Row
from headstart.inference.image_files import ImageFiles, with_hint

if TYPE_CHECKING:
    from headstart.data.conversion import Conversion
    from headstart.metrics.refusal import Refusal
    from headstart.recipes.recipe import Recipe
    from headstart.runs.folder import RunFolder


class Classifier(Protocol):
    """A network ready for inference, whatever runs it."""

    @property
    def recipe(self) -> Recipe:
        """The recipe that it was trained with."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the network's outputs."""

    @property
    def conversion(self) -> Conversion:
        """How deep values and bands become RGB of 8 bits."""

    @property
    def batch_size(self) -> int:
        """Images that are classified at once."""

    def classify(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 (B, 3, S, S), S = ``recipe.data.image_size`` -> softmax probabilities, float32 (B, C)."""


@dataclass(frozen=True)
class Predictions:
    """Predicted classes of N images."""

    classes: tuple[str, ...]
    files: tuple[Path, ...]
    """The readable files, in the order given."""
    names: tuple[str, ...]
    """What each file is called in `rows`."""
    probabilities: NDArray[np.float32]
    """(N, C): softmax probabilities, a row per file."""
    unreadable: tuple[tuple[Path, str], ...]
    """(file, reason) of every file that could not be read."""
    others: tuple[Path, ...] = ()
    """Files in the folders that are no images."""
    refusal: Refusal | None = None
    """What decides which images are not answered; None: all are."""

    @property
    def refused(self) -> NDArray[np.bool_]:
        """(N,): whether each file is refused: the network is too unsure of its label."""
        if self.refusal is None:
            return np.zeros(len(self.files), bool)
        return self.refusal.refuses(self.probabilities)

    @property
    def labels(self) -> list[str]:
        """The most probable class of each file, spelled as in the training data."""
        return [self.classes[best] for best in self.probabilities.argmax(axis=1)]

    def header(self, probabilities: bool = False, confidence: bool = True) -> list[str]:
        """The columns of `rows`."""
        more = [f"probability_{name}" for name in self.classes] if probabilities else []
        refused = ["refused"] if self.refusal is not None else []
        return ["filename", "label", *(["confidence"] if confidence else []), *refused, *more]

    def rows(self, probabilities: bool = False, confidence: bool = True) -> list[Row]:
        """A row per file: ``filename``, ``label``, its probability, and optionally the probability of each class.

        ``filename`` is the path below the folder that was predicted, or the path as it was given. With a refusal there
        is a column ``refused``, yes or no, and a refused label is the one that would have been given.
        """
        return [
            {
                "filename": name,
                "label": label,
                **({"confidence": f"{each.max():.4f}"} if confidence else {}),
                **({"refused": "yes" if refused else "no"} if self.refusal is not None else {}),
                **(self._columns(each) if probabilities else {}),
            }
            for name, label, each, refused in zip(
                self.names, self.labels, self.probabilities, self.refused, strict=True
            )
        ]

    def _columns(self, each: NDArray[np.float32]) -> Row:
        return {f"probability_{name}": f"{p:.6g}" for name, p in zip(self.classes, each, strict=True)}


@freed_memory_kept()
def predict(model: Classifier, files: Sequence[Path] | ImageFiles, *, progress: Progress | None = None) -> Predictions:
    """Classify image files. Unreadable files are skipped and listed with the reason."""
    found = files if isinstance(files, ImageFiles) else ImageFiles(tuple(files), tuple(map(str, files)))
    files = found.files
    config = model.recipe.data
    readable: list[int] = []
    outputs = [np.empty((0, len(model.classes)), np.float32)]
    unreadable: list[tuple[Path, str]] = []
    decoded = stream(files, config.image_size, config.resize, model.batch_size, model.conversion)
    for positions, pixels, failures in decoded:
        if positions:
            outputs.append(model.classify(pixels))
        readable += positions
        unreadable += [(files[place], with_hint(files[place], reason)) for place, reason in failures]
        if progress is not None:
            progress(len(readable) + len(unreadable), len(files))
    return Predictions(
        model.classes,
        tuple(files[i] for i in readable),
        tuple(found.names[i] for i in readable),
        np.concatenate(outputs),
        (*unreadable, *found.unread),
        found.others,
    )


def refusal_of(run: RunFolder, error: float) -> Refusal:
    """What to refuse so that at most the share ``error`` of a run's answers is wrong, by its validation images.

    Raises HeadstartError where that cannot be promised (`metrics.refusal.choose_refusal`).
    """
    from headstart.metrics.refusal import choose_refusal  # scipy.stats takes longer than to predict an image
    from headstart.runs.predictions import read_predictions
    from headstart.runs.training_images import read_groups

    stored = read_predictions(run)
    if stored is None:
        raise HeadstartError(
            f"refuse: expected the predictions for validation images of {run.path}, found none", run.copy_again
        )
    return choose_refusal(stored.labels, stored.probabilities, error, read_groups(run, stored.filenames))


def predict_table(
    table: Path, model: Classifier, *, folder: Path, progress: Progress | None = None
) -> tuple[list[Row], Predictions]:
    """Classify the files listed in a CSV file and fill in its column ``label``.

    The column ``filename`` holds paths relative to ``folder``; other columns are copied. The label is empty where the
    file cannot be read or the row names none. Raises HeadstartError for a CSV file without rows or without filenames.
    """
    header, lines = read_rows(table)
    require_column(table, header, "filename")
    rows = [row for _, row in lines]
    if not rows:
        raise HeadstartError(f"{table}: expected rows of images, found none", "headstart predict --help")
    names = [row["filename"].strip() for row in rows]
    predictions = predict(model, [folder / name for name in dict.fromkeys(names) if name], progress=progress)
    label_of = dict(zip(predictions.files, predictions.labels, strict=True))
    filled = [{**row, "label": label_of.get(folder / name, "")} for row, name in zip(rows, names, strict=True)]
    unnamed = [
        (Path(f"{table} line {line}"), "no filename") for (line, _), name in zip(lines, names, strict=True) if not name
    ]
    return filled, replace(predictions, unreadable=(*predictions.unreadable, *unnamed))
