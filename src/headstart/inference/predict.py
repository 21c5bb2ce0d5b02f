"""Class predictions for image files, with the same pixels, arithmetic and batches as validation in `fit`."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headstart.data.csv_index import read_rows, require_column
from headstart.data.index import images_below, natural_key
from headstart.data.parallel import Progress
from headstart.data.pixels import stream
from headstart.errors import HeadstartError
from headstart.files import Row
from headstart.inference.model import Model


@dataclass(frozen=True)
class Predictions:
    """Predicted classes of N images."""

    classes: tuple[str, ...]
    files: tuple[Path, ...]
    """The readable files, in the order given."""
    probabilities: NDArray[np.float32]
    """(N, C): softmax probabilities, a row per file."""
    unreadable: tuple[tuple[Path, str], ...]
    """(file, reason) of every file that could not be read."""

    @property
    def labels(self) -> list[str]:
        """The most probable class of each file, spelled as in the training data."""
        return [self.classes[best] for best in self.probabilities.argmax(axis=1)]

    def rows(self, probabilities: bool = False) -> list[Row]:
        """A row per file: ``filename`` (without its folder), ``label``, and optionally a probability per class."""
        return [
            {"filename": file.name, "label": label, **(self._columns(each) if probabilities else {})}
            for file, label, each in zip(self.files, self.labels, self.probabilities, strict=True)
        ]

    def _columns(self, each: NDArray[np.float32]) -> Row:
        return {f"probability_{name}": f"{p:.6g}" for name, p in zip(self.classes, each, strict=True)}


def predict(model: Model, files: Sequence[Path], *, progress: Progress | None = None) -> Predictions:
    """Classify image files. Unreadable files are skipped and listed with the reason."""
    config = model.recipe.data
    readable: list[int] = []
    outputs = [np.empty((0, len(model.classes)), np.float32)]
    unreadable: list[tuple[Path, str]] = []
    batch = model.recipe.val.batch_size
    decoded = stream(files, config.image_size, config.resize, batch, model.conversion)
    for positions, pixels, failures in decoded:
        if positions:
            outputs.append(model.probabilities(pixels))
        readable += positions
        unreadable += [(files[position], reason) for position, reason in failures]
        if progress is not None:
            progress(len(readable) + len(unreadable), len(files))
    return Predictions(model.classes, tuple(files[i] for i in readable), np.concatenate(outputs), tuple(unreadable))


def predict_table(
    table: Path, model: Model, *, folder: Path, progress: Progress | None = None
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


def as_list(paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> list[str | os.PathLike[str]]:
    """One path or several, as a list."""
    return [paths] if isinstance(paths, str | os.PathLike) else list(paths)


def find_images(paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> list[Path]:
    """Expand folders, glob patterns (``photos/*.jpg``) and file names into image files, in natural order.

    Raises HeadstartError for a path without images.
    """
    files: list[Path] = []
    for each in as_list(paths):
        path = Path(each)
        if path.is_dir():
            found = [path / name for name in sorted(images_below(path), key=natural_key)]
        elif path.exists():
            found = [path]
        else:
            found = [Path(name) for name in sorted(glob.glob(str(each), recursive=True), key=natural_key)]  # noqa: PTH207
        if not found:
            raise HeadstartError(f"{each}: expected images, found none", f"ls {path.parent}")
        files += found
    return files
