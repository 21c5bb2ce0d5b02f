"""The features that a run stored over its epochs, read back and looked over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from headstart.errors import HeadstartError
from headstart.runs.folder import RunFolder

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class EpochFeatures:
    """What the network saw after one epoch in N images."""

    epoch: int
    """Counted from 1."""
    features: Floats
    """(N, F): what its last layer works on."""
    probabilities: Floats
    """(N, C)"""
    seconds: float
    """What looking cost."""


@dataclass(frozen=True)
class Features:
    """What a run saw in the same N images over its epochs."""

    filenames: tuple[str, ...]
    splits: NDArray[np.str_]
    """``val`` or ``train``, (N,)."""
    labels: NDArray[np.int64]
    """(N,): positions in ``classes``, or -1 where an image has no label."""
    classes: tuple[str, ...]
    epochs: tuple[EpochFeatures, ...]

    @property
    def labeled(self) -> bool:
        """Whether every image has a label."""
        return bool((self.labels >= 0).all())


def read_features(run: RunFolder, epochs: Sequence[int] = ()) -> Features:
    """All that ``run`` stored, or the ``epochs`` (from 1) asked for.

    Raises HeadstartError when there is none, when an asked epoch is not there, when a file is damaged, and when
    features are no numbers.
    """
    files = {
        int(file.stem.removeprefix("epoch-")): file for file in (run.path / "features").glob("epoch-*.safetensors")
    }
    rows = run.looked_at
    if not files or not rows:
        raise HeadstartError(
            f"{run.path}: expected stored features, found none in {run.path / 'features'}",
            f"headstart fit {run.path / 'recipe.toml'} {run.data['root']} (a new run, which stores them)",
        )
    absent = [epoch for epoch in epochs if epoch not in files]
    if absent:
        raise HeadstartError(
            f"{run.path}: expected features of epoch {', '.join(map(str, sorted(files)))}, found {absent[0]} asked for",
            f"headstart map {run.path}",
        )
    classes = tuple(run.classes)
    number = {"": -1} | {name: i for i, name in enumerate(classes)}
    stored = []
    for epoch in sorted(epochs or files):
        file = files[epoch]
        try:
            with safe_open(file, "numpy") as content:
                features, probabilities = (content.get_tensor(name) for name in ("features", "probabilities"))
                stored.append(EpochFeatures(epoch, features, probabilities, float(content.metadata()["seconds"])))
        except (OSError, SafetensorError, KeyError) as error:
            raise HeadstartError(
                f"{file}: expected stored features, found a damaged file ({error})",
                f"remove it, then headstart map {run.path}",
            ) from None
        _require_numbers(stored[-1], len(rows), str(file), run)
    return Features(
        filenames=tuple(row["filename"] for row in rows),
        splits=np.array([row["split"] for row in rows]),
        labels=np.array([number[row["label"]] for row in rows], dtype=np.int64),
        classes=classes,
        epochs=tuple(stored),
    )


def _require_numbers(stored: EpochFeatures, images: int, file: str, run: RunFolder) -> None:
    if len(stored.features) != images:
        raise HeadstartError(
            f"{file}: expected the features of {images} images, found {len(stored.features)}",
            f"remove it, then headstart map {run.path}",
        )
    broken = int((~np.isfinite(stored.features).all(axis=1)).sum())
    slower = f"optimizer.lr={run.recipe.optimizer.lr / 10:g}"
    if broken:
        raise HeadstartError(
            f"{file}: expected features that are numbers, found NaN or infinity in {broken} of {images} images",
            f"headstart fit {run.path / 'recipe.toml'} {run.data['root']} {slower}",
        )
