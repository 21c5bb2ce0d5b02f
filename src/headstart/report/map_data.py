"""One map of the embedding explorer: places, predictions and neighbors over the epochs, as text for a page.

Numbers are stored as unsigned integers of 16 bits in base64, a fifth of what they take as JSON.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headstart.files import Row
from headstart.metrics.neighbors import nearest_neighbors
from headstart.metrics.segmentation import image_ious
from headstart.runs.analysis import FeatureAnalysis
from headstart.runs.confusion import read_mask_confusions
from headstart.runs.features import EpochFeatures, has_features, read_features
from headstart.runs.folder import RunFolder

MAX_PLACES = 40_000
"""Images times epochs on a page at the most, which keeps what is below at 1.6 MB."""
NEAR = 8
"""Neighbors that a click shows."""
FINEST = 65535
PROJECTIONS = ("tsne", "pca")


class Scaled(TypedDict):
    """Values of each image and epoch, scaled from ``low`` to ``high`` onto 0 to `FINEST`."""

    low: float
    high: float
    values: list[str]
    """For each epoch; a single entry holds for all epochs."""


class MapData(TypedDict):
    """A map of P images over E epochs."""

    name: str
    """Of its run; empty where there is one map."""
    epochs: list[int]
    variance: list[float | None]
    """Share of each epoch's variance on the axes of the PCA."""
    places: dict[str, tuple[Scaled, Scaled]]
    """'tsne', 'pca' -> x and y."""
    predicted: list[str]
    """For each epoch the predicted classes; empty where nothing is predicted."""
    shades: dict[str, Scaled]
    """'confidence', 'loss', 'IoU' -> values to color by."""
    neighbors: list[str]
    """For each epoch the nearest of the P images in feature space, nearest first: (P, near)."""
    near: int


@dataclass(frozen=True)
class MapSource:
    """A run, its analysis, the rows of its `maps.csv`, and which images of its `features/images.csv` are drawn."""

    name: str
    run: RunFolder
    analysis: FeatureAnalysis
    rows: Sequence[Row]
    shown: Sequence[int]


def map_data(source: MapSource, labels: NDArray[np.int64], classes: Sequence[str], places: int = MAX_PLACES) -> MapData:
    """The map of a run; ``labels`` (P,) are positions in ``classes``, which hold those of the run in any order.

    Of more epochs than ``places`` allows for so many images, evenly spaced ones are drawn, the first and the last among
    them.
    """
    run, shown = source.run, source.shown
    epochs = _spaced(sorted({row["epoch"] for row in source.rows}), max(2, places // max(len(shown), 1)))
    variance = {each.epoch: each.variance for each in source.analysis.epochs}
    kinds = [kind for kind in PROJECTIONS if f"{kind}_x" in source.rows[0]]
    data = MapData(
        name=source.name,
        epochs=epochs,
        variance=[variance[epoch] for epoch in epochs],
        places=_places(source, kinds, epochs),
        predicted=[],
        shades={},
        neighbors=[],
        near=0,
    )
    ious = _ious(run, shown)
    if ious is not None:
        data["shades"]["IoU"] = _scaled([ious], 0, 1)
    if has_features(run, epochs):
        _add_features(data, source, labels, {name: i for i, name in enumerate(classes)})
    return data


def _spaced(epochs: list[int], most: int) -> list[int]:
    if len(epochs) <= most:
        return epochs
    return [epochs[i] for i in np.linspace(0, len(epochs) - 1, most).round().astype(int)]


def _places(source: MapSource, kinds: Sequence[str], epochs: Sequence[int]) -> dict[str, tuple[Scaled, Scaled]]:
    """x and y of the images at each epoch, on the same scale for all epochs of a projection."""
    position, time = ({value: i for i, value in enumerate(values)} for values in (source.shown, epochs))
    places = np.zeros((len(kinds), 2, len(epochs), len(source.shown)))
    for row in source.rows:
        i, epoch = position.get(row["row"]), time.get(row["epoch"])
        if i is not None and epoch is not None:
            for k, kind in enumerate(kinds):
                places[k, 0, epoch, i], places[k, 1, epoch, i] = row[f"{kind}_x"], row[f"{kind}_y"]
    places = np.nan_to_num(places, posinf=0, neginf=0)
    scaled = [[_scaled(axis, axis.min(), axis.max()) for axis in both] for both in places]
    return {kind: (both[0], both[1]) for kind, both in zip(kinds, scaled, strict=True)}


def _add_features(data: MapData, source: MapSource, labels: NDArray[np.int64], number: Mapping[str, int]) -> None:
    """Add predictions and neighbors of each epoch; ``number`` is that of each class on the page."""
    confidence, loss = [], []
    data["near"] = min(NEAR, len(source.shown) - 1)
    for epoch in data["epochs"]:  # one at a time: features of many images take much memory
        stored = read_features(source.run, [epoch]).epochs[0]
        features, p = _of_shown(stored, source.shown)
        data["neighbors"].append(_text(nearest_neighbors(features, count=data["near"])))
        if p.shape[1]:
            place = np.array([number[name] for name in source.run.classes])
            data["predicted"].append(_text(place[p.argmax(axis=1)]))
            confidence.append(p.max(axis=1))
            of_label = np.ones((len(p), len(number)), np.float32)  # an image without a label has no loss
            of_label[:, place] = p
            loss.append(-np.log(np.maximum(of_label[np.arange(len(p)), labels], 1e-7)))
    if confidence:
        data["shades"]["confidence"] = _scaled(confidence, 0, 1)
        data["shades"]["loss"] = _scaled(loss, 0, max(float(np.max(loss)), 1e-6))


def _of_shown(stored: EpochFeatures, shown: Sequence[int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    rows = np.array(shown, dtype=np.int64)
    return stored.features[rows], np.nan_to_num(stored.probabilities[rows])


def _ious(run: RunFolder, shown: Sequence[int]) -> NDArray[np.float64] | None:
    """Mean IoU of each image of a segmentation run at the epoch of its weights; 0 where it has none."""
    confusions = read_mask_confusions(run)
    if confusions is None:
        return None
    ious = np.nan_to_num(image_ious(confusions.confusion))
    return np.array([ious[row] if row < len(ious) else 0.0 for row in shown])


def _scaled(values: ArrayLike, low: float, high: float) -> Scaled:
    span = (high - low) or 1.0
    shares = np.clip((np.asarray(values, dtype=np.float64) - low) / span, 0, 1)
    return Scaled(low=float(low), high=float(low + span), values=[_text(np.rint(FINEST * each)) for each in shares])


def _text(values: NDArray[Any]) -> str:
    return base64.b64encode(values.astype("<u2").tobytes()).decode()


def unscaled(scaled: Mapping[str, Any]) -> NDArray[np.float64]:
    """The values of a `Scaled`, (E, P), as the page reads them."""
    whole = np.array([np.frombuffer(base64.b64decode(each), "<u2") for each in scaled["values"]])
    return np.asarray(scaled["low"] + whole / FINEST * (scaled["high"] - scaled["low"]))
