"""`features/`: penultimate features of the same images after chosen epochs.

features/images.csv               the images: all validation images, then a sample of the training images
features/epoch-0001.safetensors   ``features`` (N, F) and ``probabilities`` (N, C) after an epoch, float32
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save

from headstart.errors import HeadstartError, quoted
from headstart.runs.checksums import listed_in
from headstart.runs.folder import RunFolder

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class EpochFeatures:
    """Features of N images after one epoch."""

    epoch: int
    """Counted from 1."""
    features: Floats
    """(N, F): the input of the network's last layer."""
    probabilities: Floats
    """(N, C)"""
    seconds: float
    """Time spent on the sample of the training images."""


@dataclass(frozen=True)
class Features:
    """Features of the same N images over the epochs of a run."""

    filenames: tuple[str, ...]
    splits: NDArray[np.str_]
    """``val`` or ``train``, (N,)."""
    labels: NDArray[np.int64]
    """(N,): positions in ``classes``, or -1 for an image without a label."""
    classes: tuple[str, ...]
    epochs: tuple[EpochFeatures, ...]

    @property
    def labeled(self) -> bool:
        """Whether every image has a label."""
        return bool((self.labels >= 0).all())


def write_feature_images(
    run: RunFolder, filenames: Sequence[str], splits: Sequence[str], labels: Sequence[str]
) -> None:
    """Write `features/images.csv`: the images whose features are stored; ``labels`` are class names, or empty."""
    columns = zip(filenames, splits, labels, strict=True)
    run.write_table(
        "features/images.csv",
        [{"filename": name, "split": split, "label": label} for name, split, label in columns],
    )


def write_epoch_features(run: RunFolder, epoch: int, features: Floats, probabilities: Floats, seconds: float) -> None:
    """Write (N, F) features and (N, C) probabilities after ``epoch`` (from 0), in the order of `images.csv`."""
    content = save({"features": features, "probabilities": probabilities}, metadata={"seconds": f"{seconds:.3f}"})
    run.write(f"features/epoch-{epoch + 1:04}.safetensors", content)


def has_features(run: RunFolder, epochs: Sequence[int]) -> bool:
    """Whether features of any of these ``epochs`` (from 1) are there."""
    return any((run.path / "features" / f"epoch-{epoch:04}.safetensors").is_file() for epoch in epochs)


def read_features(run: RunFolder, epochs: Sequence[int] = ()) -> Features:
    """Read the stored features of all epochs, or of some ``epochs`` (from 1).

    Raises HeadstartError when there are none, when a requested epoch is missing, when a file is damaged, and when
    features are NaN or infinite.
    """
    named = {file.stem.removeprefix("epoch-"): file for file in (run.path / "features").glob("epoch-*.safetensors")}
    files = {int(epoch): file for epoch, file in named.items() if epoch.isdecimal() and len(epoch) < 10}
    rows = run.feature_images
    if not files or not rows:
        raise HeadstartError(
            f"{run.path}: expected stored features, found none in {run.path / 'features'}",
            f"headstart fit {quoted(run.path / 'recipe.toml')} {quoted(run.data['root'])}"
            " (a new run, which stores them)"
            if run.trained
            else f"headstart fit --resume {quoted(run.path)} (its epochs store them)",
        )
    if not epochs:  # all that were written, not those alone that are still there
        for name in listed_in(run.path, "features"):
            run.has(name)
    absent = [epoch for epoch in epochs if epoch not in files]
    if absent:
        raise HeadstartError(
            f"{run.path}: expected features of epoch {', '.join(map(str, sorted(files)))}, found {absent[0]} requested",
            f"headstart map {quoted(run.path)}",
        )
    classes = tuple(run.classes)
    number = {"": -1} | {name: i for i, name in enumerate(classes)}
    stored = []
    for epoch in sorted(epochs or files):
        file = files[epoch]
        run.has(f"features/{file.name}")
        try:
            with safe_open(file, "numpy") as content:
                features, probabilities = (content.get_tensor(name) for name in ("features", "probabilities"))
                stored.append(EpochFeatures(epoch, features, probabilities, float(content.metadata()["seconds"])))
        except Exception as error:  # safetensors and NumPy raise whatever the bytes lead them to
            raise HeadstartError(
                f"{file}: expected stored features, found a damaged file ({error})", run.copy_again
            ) from None
        _check_features(stored[-1], len(rows), str(file), run)
    unknown = sorted({row["label"] for row in rows} - number.keys())
    if unknown:
        raise HeadstartError(
            f"{run.path / 'features' / 'images.csv'}: expected labels that are classes of the run, found {unknown[0]}",
            run.copy_again,
        )
    return Features(
        filenames=tuple(row["filename"] for row in rows),
        splits=np.array([row["split"] for row in rows]),
        labels=np.array([number[row["label"]] for row in rows], dtype=np.int64),
        classes=classes,
        epochs=tuple(stored),
    )


def _check_features(stored: EpochFeatures, images: int, file: str, run: RunFolder) -> None:
    widths = (0, len(run.classes))
    if not (stored.features.ndim == stored.probabilities.ndim == 2) or stored.probabilities.shape[1] not in widths:
        raise HeadstartError(
            f"{file}: expected features and probabilities, found arrays of other shapes", run.copy_again
        )
    if not len(stored.features) == len(stored.probabilities) == images:
        raise HeadstartError(
            f"{file}: expected features of the {images} images in images.csv, found {len(stored.features)}",
            run.copy_again,
        )
    broken = int((~np.isfinite(stored.features).all(axis=1)).sum())
    slower = f"optimizer.lr={run.recipe.optimizer.lr / 10:g}"
    if broken:
        raise HeadstartError(
            f"{file}: expected features that are numbers, found NaN or infinity in {broken} of {images} images",
            f"headstart fit {quoted(run.path / 'recipe.toml')} {quoted(run.data['root'])} {slower}",
        )
