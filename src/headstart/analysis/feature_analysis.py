"""Feature analysis of a run: t-SNE and PCA maps, kNN accuracy, silhouette and calibration of the stored features.

All of it is derived from the run folder: `headstart map` writes it anew, also with other parameters
(`headstart.runs.analysis`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from headstart.errors import HeadstartError, quoted
from headstart.files import Row
from headstart.metrics import embeddings as maps
from headstart.metrics import neighbors
from headstart.metrics.bootstrap import bootstrap_mean
from headstart.metrics.calibration import MIN_IMAGES_TO_HALVE, fit_on_half
from headstart.metrics.classification import classification_metrics
from headstart.metrics.shares import mean_share
from headstart.runs.analysis import (
    EpochAnalysis,
    EpochMetrics,
    FeatureAnalysis,
    Scaling,
    Split,
    write_feature_analysis,
)
from headstart.runs.features import EpochFeatures, Features, read_features
from headstart.runs.folder import RunFolder
from headstart.runs.predictions import read_predictions

Rows = NDArray[np.int64]


def analyze_features(
    run: RunFolder,
    perplexity: float | None = None,
    epochs: Sequence[int] = (),
    split: Split = "all",
    seed: int = 0,
) -> FeatureAnalysis:
    """Compute the maps and metrics of the features that ``run`` stored, and write both into its folder.

    ``perplexity`` is t-SNE's; unless given it is 30, or less where there are few images. ``epochs`` (from 1) and
    ``split`` restrict what is analyzed. Raises HeadstartError without stored features, and for a perplexity that is too
    large for the number of images.
    """
    stored = read_features(run, sorted(set(epochs)))
    mapped = np.flatnonzero(stored.splits == split) if split != "all" else np.arange(len(stored.labels))
    used = _usable_perplexity(perplexity, len(mapped), run, split)
    varied = [each for each in stored.epochs if np.ptp(each.features[mapped], axis=0).max(initial=0) > 0]
    layouts = [each.features[mapped] for each in varied]
    flat, variance = maps.pca(layouts) if varied else ([], [])
    curved = maps.tsne(layouts, used, seed) if used is not None else [None] * len(varied)
    share = {each.epoch: v for each, v in zip(varied, variance, strict=True)}
    analysis = FeatureAnalysis(
        epochs=tuple(_epoch_analysis(stored, each, share.get(each.epoch), seed) for each in stored.epochs),
        scaling=_scaling(run, seed),
        perplexity=used,
        split=split,
        seed=seed,
    )
    rows = [
        row
        for each, pca, tsne in zip(varied, flat, curved, strict=True)
        for row in _places(each.epoch, mapped, {"pca": pca, "tsne": tsne})
    ]
    write_feature_analysis(run, analysis, rows)
    return analysis


def _usable_perplexity(requested: float | None, images: int, run: RunFolder, split: Split) -> float | None:
    """``requested``, else the default or what so many images allow; None below 2, which is too few for t-SNE."""
    most = maps.most_perplexity(images)
    if requested is not None and requested > most:
        raise HeadstartError(
            f"{run.path}: perplexity: expected at most {most:.1f} for {images} images (split {split}),"
            f" found {requested:g}",
            f"headstart map {quoted(run.path)} --perplexity {max(1, int(most))}",
        )
    usual = min(maps.PERPLEXITY, most)
    return requested if requested is not None else usual if usual >= 2 else None


def _epoch_analysis(stored: Features, features: EpochFeatures, variance: float | None, seed: int) -> EpochAnalysis:
    val, train = (np.flatnonzero(stored.splits == split) for split in ("val", "train"))
    bank = features.features[train]
    return EpochAnalysis(
        epoch=features.epoch,
        val=_epoch_metrics(stored, features, val, _neighbors(stored, features.features[val], bank, train), seed),
        train=_epoch_metrics(stored, features, train, _neighbors(stored, bank, None, train), seed)
        if len(train)
        else None,
        variance=variance,
    )


def _neighbors(stored: Features, features: neighbors.Floats, bank: neighbors.Floats | None, train: Rows) -> Rows | None:
    """The nearest sampled training images of each image, as rows of all stored images, (N, K).

    None with fewer than two of them, or where images have no label.
    """
    if len(train) < 2 or not stored.labeled:
        return None
    count = neighbors.voters(stored.labels[train])
    return np.asarray(train[neighbors.nearest_neighbors(features, bank, count)])


def _epoch_metrics(stored: Features, features: EpochFeatures, rows: Rows, near: Rows | None, seed: int) -> EpochMetrics:
    labels = stored.labels[rows]
    of_head = (
        classification_metrics(labels, features.probabilities[rows], stored.classes)
        if features.probabilities.shape[1]
        else None
    )
    silhouettes = neighbors.silhouettes(features.features[rows], labels, seed) if stored.labeled else ()
    return EpochMetrics(
        images=len(rows),
        accuracy=of_head and of_head.accuracy,
        loss=of_head and of_head.loss,
        ece=of_head and of_head.ece,
        brier=of_head and of_head.brier,
        knn=None if near is None else mean_share(neighbors.knn_correct(near, stored.labels, labels)),
        purity=None if near is None else mean_share(neighbors.purity(near, stored.labels, labels)),
        silhouette=bootstrap_mean(silhouettes) if len(silhouettes) else None,
    )


def _scaling(run: RunFolder, seed: int) -> Scaling | None:
    """Of the best checkpoint; None before there is one, and with too few images to halve."""
    predictions = read_predictions(run)
    if predictions is None or len(predictions.labels) < MIN_IMAGES_TO_HALVE:
        return None
    fitted = fit_on_half(predictions.labels, predictions.probabilities, seed)
    labels = predictions.labels[fitted.held_out]
    before = classification_metrics(labels, predictions.probabilities[fitted.held_out], run.classes)
    after = classification_metrics(labels, fitted.probabilities, run.classes)
    return Scaling(
        temperature=fitted.value,
        images=len(labels),
        ece_before=before.ece,
        ece_after=after.ece,
        brier_before=before.brier,
        brier_after=after.brier,
    )


def _places(epoch: int, mapped: Rows, layouts: dict[str, maps.Floats | None]) -> list[Row]:
    drawn = {name: layout for name, layout in layouts.items() if layout is not None}
    return [
        {
            "epoch": epoch,
            "row": int(row),
            **{
                f"{name}_{axis}": f"{value:.5g}"
                for name, layout in drawn.items()
                for axis, value in zip("xy", layout[place], strict=True)
            },
        }
        for place, row in enumerate(mapped)
    ]
