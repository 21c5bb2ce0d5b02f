"""Copies of a finished run with made-up predictions, to compare."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from headstart.recipes import recipe as recipes
from headstart.runs.folder import RunFolder
from headstart.runs.predictions import write_predictions


def make_run(
    source: Path,
    folder: Path,
    labels: ArrayLike,
    correct: ArrayLike,
    *,
    names: Sequence[str] | None = None,
    fields: Mapping[str, Any] | None = None,
    classes: Sequence[str] | None = None,
) -> Path:
    """A copy of the finished run ``source`` whose validation images are ``names``, right where ``correct`` says.

    A wrong prediction is the next class, with a confidence that rises with the row. ``classes`` are those of the
    network in another order; ``labels`` are positions in them. ``fields`` change the recipe.
    """
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("features", "analysis", "thumbnails.zip"))
    (folder / "checksums.json").unlink()
    run = RunFolder(folder)
    run.write("recipe.toml", recipes.override(run.recipe, fields or {}).to_toml().encode())
    if classes is not None:
        run.write_json("data.json", {**run.data, "classes": list(classes), "counts": {}})
    known, right = run.classes, np.asarray(correct, dtype=bool)
    numbers = np.asarray(labels, dtype=np.int64)
    predicted = np.where(right, numbers, (numbers + 1) % len(known))
    confidence = np.linspace(0.6, 0.99, len(numbers))
    p = np.repeat(((1 - confidence) / (len(known) - 1))[:, None], len(known), axis=1)
    p[np.arange(len(numbers)), predicted] = confidence
    files = names or [f"image-{i}.jpg" for i in range(len(numbers))]
    write_predictions(run, files, numbers.tolist(), known, p.astype(np.float32))
    return folder
