"""What a network learned over its epochs: maps and measures of the features that a run stored, kept beside them.

Everything here is derived from the run folder: ``insight/learned.json`` and ``insight/maps.csv`` may be deleted and
made again, with other parameters too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from headstart.errors import HeadstartError
from headstart.files import Row, read_table
from headstart.metrics import embeddings as maps
from headstart.metrics import neighbors as separation
from headstart.metrics.bootstrap import Interval, bootstrap_mean
from headstart.metrics.calibration import MIN_IMAGES_TO_HALVE, fit_on_half
from headstart.metrics.classification import classification_metrics
from headstart.runs.features import EpochFeatures, Features, read_features
from headstart.runs.folder import RunFolder
from headstart.runs.predictions import read_predictions

Split = Literal["all", "val", "train"]
Rows = NDArray[np.int64]


class EpochMetrics(BaseModel):
    """What one epoch is worth on the images of one split."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    images: int
    accuracy: Interval | None
    """This and the next three are of the network's answers: None where it answers with no classes."""
    loss: Interval | None
    ece: Interval | None
    brier: Interval | None
    knn: Interval | None
    """Share of images whose commonest class among the nearest training images looked at is their own."""
    purity: Interval | None
    """Share of those neighbors that are of the image's class."""
    silhouette: Interval | None


class EpochAnalysis(BaseModel):
    """One epoch that was looked at."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epoch: int
    """Counted from 1."""
    val: EpochMetrics
    train: EpochMetrics | None
    variance: float | None
    """Share of the features' variance on the two axes of the PCA map; None where the features are all alike."""


class Scaling(BaseModel):
    """What one temperature does to the kept weights' confidence, on the half that had no part in fitting it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float
    images: int
    ece_before: Interval
    ece_after: Interval
    brier_before: Interval
    brier_after: Interval


class FeatureAnalysis(BaseModel):
    """What `headstart map` found, and with which parameters."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: tuple[EpochAnalysis, ...]
    scaling: Scaling | None
    perplexity: float | None
    """Of the t-SNE map; None where there were too few images for one."""
    split: Split
    seed: int


def analyze_features(
    run: RunFolder,
    perplexity: float | None = None,
    epochs: Sequence[int] = (),
    split: Split = "all",
    seed: int = 0,
) -> FeatureAnalysis:
    """Map and measure the features of ``run``, and write down both.

    ``perplexity`` is t-SNE's; unless given it is 30, or less where there are few images. Raises HeadstartError when
    there are no features, and when there are too few images for the perplexity asked for.
    """
    stored = read_features(run, epochs)
    mapped = np.flatnonzero(stored.splits == split) if split != "all" else np.arange(len(stored.labels))
    used = _usable_perplexity(perplexity, len(mapped), run, split)
    varied = [each for each in stored.epochs if np.ptp(each.features[mapped], axis=0).max(initial=0) > 0]
    layouts = [each.features[mapped] for each in varied]
    flat, variance = maps.pca(layouts) if varied else ([], [])
    curved = maps.tsne(layouts, used, seed) if used is not None else [None] * len(varied)
    share = {each.epoch: v for each, v in zip(varied, variance, strict=True)}
    learned = FeatureAnalysis(
        epochs=tuple(_measured(stored, each, share.get(each.epoch), seed) for each in stored.epochs),
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
    run.write_table("insight/maps.csv", rows)
    run.write("insight/learned.json", learned.model_dump_json(indent=2).encode())
    return learned


def read_feature_analysis(run: RunFolder) -> tuple[FeatureAnalysis, list[Row]] | None:
    """What `learn` wrote last, and the rows of its maps; None where nothing was."""
    file, table = run.path / "insight" / "learned.json", run.path / "insight" / "maps.csv"
    if not (file.is_file() and table.is_file()):
        return None
    try:
        return FeatureAnalysis.model_validate_json(file.read_bytes()), read_table(table)
    except (OSError, ValidationError, UnicodeDecodeError):
        raise HeadstartError(
            f"{file}: expected what headstart map writes, found a damaged file", f"headstart map {run.path}"
        ) from None


def _usable_perplexity(asked: float | None, images: int, run: RunFolder, split: Split) -> float | None:
    """``asked``, or the usual one or what so many images allow; None below 2, where there is nothing to lay out."""
    most = maps.most_perplexity(images)
    if asked is not None and asked > most:
        raise HeadstartError(
            f"{run.path}: perplexity: expected at most {most:.1f} for {images} images (split {split}), found {asked:g}",
            f"headstart map {run.path} --perplexity {max(1, int(most))}",
        )
    usual = min(maps.PERPLEXITY, most)
    return asked if asked is not None else usual if usual >= 2 else None


def _measured(stored: Features, seen: EpochFeatures, variance: float | None, seed: int) -> EpochAnalysis:
    val, train = (np.flatnonzero(stored.splits == split) for split in ("val", "train"))
    bank = seen.features[train]
    return EpochAnalysis(
        epoch=seen.epoch,
        val=_figures(stored, seen, val, _neighbors(stored, seen.features[val], bank, train), seed),
        train=_figures(stored, seen, train, _neighbors(stored, bank, None, train), seed) if len(train) else None,
        variance=variance,
    )


def _neighbors(
    stored: Features, features: separation.Floats, bank: separation.Floats | None, train: Rows
) -> Rows | None:
    """Each image's neighbors among the training images looked at, as rows of all.

    None where there are too few, or images without a label: neighbors are counted by class.
    """
    if len(train) < 2 or not stored.labeled:
        return None
    return np.asarray(train[separation.nearest_neighbors(features, bank)])


def _figures(stored: Features, seen: EpochFeatures, rows: Rows, near: Rows | None, seed: int) -> EpochMetrics:
    labels = stored.labels[rows]
    of_head = (
        classification_metrics(labels, seen.probabilities[rows], stored.classes)
        if seen.probabilities.shape[1]
        else None
    )
    silhouettes = separation.silhouettes(seen.features[rows], labels, seed) if stored.labeled else ()
    return EpochMetrics(
        images=len(rows),
        accuracy=of_head and of_head.accuracy,
        loss=of_head and of_head.loss,
        ece=of_head and of_head.ece,
        brier=of_head and of_head.brier,
        knn=None if near is None else bootstrap_mean(separation.knn_correct(near, stored.labels, labels)),
        purity=None if near is None else bootstrap_mean(separation.purity(near, stored.labels, labels)),
        silhouette=bootstrap_mean(silhouettes) if len(silhouettes) else None,
    )


def _scaling(run: RunFolder, seed: int) -> Scaling | None:
    """Of the kept weights; None before there are any, and with too few images to halve."""
    answers = read_predictions(run)
    if answers is None or len(answers.labels) < MIN_IMAGES_TO_HALVE:
        return None
    fitted = fit_on_half(answers.labels, answers.probabilities, seed)
    labels = answers.labels[fitted.held_out]
    before = classification_metrics(labels, answers.probabilities[fitted.held_out], run.classes)
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
