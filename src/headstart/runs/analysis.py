"""`analysis/`: what `headstart map` computed from a run's stored features; may be deleted and made again.

analysis/feature_analysis.json   metrics of each analyzed epoch, and their parameters (`FeatureAnalysis`)
analysis/maps.csv                t-SNE and PCA coordinates: a row per epoch and image
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from headstart.errors import HeadstartError, quoted
from headstart.files import Row, table
from headstart.metrics.bootstrap import Interval
from headstart.runs.folder import RunFolder
from headstart.runs.tables import map_rows

NAME, MAPS = "analysis/feature_analysis.json", "analysis/maps.csv"

Split = Literal["all", "val", "train"]


class EpochMetrics(BaseModel):
    """Metrics of one epoch on the images of one split."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    images: int
    accuracy: Interval | None
    """This and the next three are of the network's predictions: None where it predicts no classes."""
    loss: Interval | None
    ece: Interval | None
    brier: Interval | None
    knn: Interval | None
    """kNN accuracy: share of images whose class wins the vote of the nearest sampled training images."""
    purity: Interval | None
    """Share of those neighbors that have the image's class."""
    silhouette: Interval | None


class EpochAnalysis(BaseModel):
    """The analysis of one epoch with stored features."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epoch: int
    """Counted from 1."""
    val: EpochMetrics
    train: EpochMetrics | None
    variance: float | None
    """Share of the features' variance on the two axes of the PCA map; None where all features are identical."""


class Scaling(BaseModel):
    """Calibration of the best checkpoint before and after temperature scaling, on the half it was not fitted on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float
    images: int
    ece_before: Interval
    ece_after: Interval
    brier_before: Interval
    brier_after: Interval


class FeatureAnalysis(BaseModel):
    """Results and parameters of `headstart map`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: tuple[EpochAnalysis, ...]
    scaling: Scaling | None
    perplexity: float | None
    """Of the t-SNE map; None where there were too few images for one."""
    split: Split
    seed: int


def write_feature_analysis(run: RunFolder, analysis: FeatureAnalysis, rows: Sequence[Row]) -> None:
    """Write an analysis and the ``rows`` of its maps: ``epoch``, ``row`` of `features/images.csv`, coordinates."""
    run.write(MAPS, table(rows, () if rows else ("epoch", "row")))
    run.write(NAME, analysis.model_dump_json(indent=2).encode())


def has_feature_analysis(run: RunFolder) -> bool:
    """Whether an analysis is there."""
    return (run.path / NAME).is_file() and (run.path / MAPS).is_file()


def read_feature_analysis(run: RunFolder) -> tuple[FeatureAnalysis, list[Row]] | None:
    """Read the latest analysis and the rows of its maps; None if there is none.

    Raises HeadstartError for a damaged file.
    """
    hint = f"headstart map {quoted(run.path)}"
    content, maps = run.read(NAME, hint), run.read(MAPS, hint)
    if content is None or maps is None:
        return None
    try:
        analysis = FeatureAnalysis.model_validate_json(content)
    except ValidationError:
        raise HeadstartError(
            f"{run.path / NAME}: expected what headstart map writes, found a damaged file", hint
        ) from None
    rows = map_rows(maps, run.path / MAPS, len(run.feature_images), hint)
    if unknown := {row["epoch"] for row in rows} - {each.epoch for each in analysis.epochs}:
        raise HeadstartError(
            f"{run.path / MAPS}: expected the epochs of {NAME}, found epoch {min(unknown)}, which it has not", hint
        )
    return analysis, rows
