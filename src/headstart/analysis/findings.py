"""Findings of a run in sentences: over-fitting, over-confidence, learning rate, features; functions of numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from headstart.analysis.epochs import ACCURACY, GAP, Advice, epochs_advice, of_epochs
from headstart.files import Row
from headstart.metrics.collapse import diagnose
from headstart.runs.analysis import EpochAnalysis, EpochMetrics, FeatureAnalysis, Scaling
from headstart.runs.tables import best_epoch

ECE_RISE = 0.02
"""A calibration error that rises by more than this is growing over-confidence."""
LOW_VARIANCE = 0.5
"""A PCA map that explains less than this share of the variance gets a warning."""
ECE_CHANGE = 0.01
"""Temperature scaling is a finding where it changes the calibration error by more than this."""


def findings(rows: Sequence[Row], monitor: str, analysis: FeatureAnalysis | None = None) -> list[str]:
    """All findings of a run: ``rows`` are its `metrics.csv`, ``monitor`` its `checkpoint.monitor`."""
    health = diagnose(rows)
    return [
        *([f"{health.sentence} {health.fix}".strip()] if health is not None else ()),
        *of_curves(rows, monitor, analysis),
        *(of_features(analysis, epochs_advice(rows, monitor, ACCURACY)) if analysis is not None else ()),
    ]


def of_curves(rows: Sequence[Row], monitor: str, analysis: FeatureAnalysis | None = None) -> Iterator[str]:
    """Findings from loss, accuracy, calibration error and learning rate over the epochs."""
    by_loss, by_accuracy = best_epoch(rows, "loss"), best_epoch(rows, "accuracy")
    if by_loss is None or by_accuracy is None:
        return
    train, val = ({row["epoch"]: row for row in rows if row["split"] == split} for split in ("train", "val"))
    if train[0].get("lr") == 0:
        found = f" (validation accuracy {val[0]['accuracy']:.2%}, loss {val[0]['loss']:.4f})" if 0 in val else ""
        yield f"The first epoch learned nothing: its learning rate was 0{found}."
    yield from of_epochs(rows, monitor, ACCURACY)
    if by_loss < by_accuracy:
        yield from _over_confident(val[by_loss], val[by_accuracy], analysis)


def _over_confident(at_loss: Row, at_accuracy: Row, analysis: FeatureAnalysis | None) -> Iterator[str]:
    """Growing over-confidence after the lowest loss, and whether the features still improve."""
    if at_accuracy.get("ece", 0) - at_loss.get("ece", 0) <= ECE_RISE:
        return
    said = (
        f"Validation loss was lowest at epoch {at_loss['epoch'] + 1}, accuracy highest at epoch"
        f" {at_accuracy['epoch'] + 1}: after that the model becomes over-confident (calibration error"
        f" {at_loss['ece']:.2f} to {at_accuracy['ece']:.2f})"
    )
    analyzed = analysis.epochs if analysis is not None else ()
    before = [each for each in analyzed if each.epoch <= at_loss["epoch"] + 1]
    after = [each for each in analyzed if each.epoch > at_loss["epoch"] + 1]
    if before and after and before[-1].val.knn and after[-1].val.knn:
        one, two = before[-1].val.knn.value, after[-1].val.knn.value
        how = "while kNN accuracy still rises" if two > one else "and kNN accuracy does not rise"
        said += f", {how} ({one:.1%} at epoch {before[-1].epoch}, {two:.1%} at epoch {after[-1].epoch})"
    yield said + "."


def of_features(analysis: FeatureAnalysis, advice: Advice | None = None) -> Iterator[str]:
    """Findings from the stored features, from the first epoch to the last; ``advice`` is that of `epochs_advice`."""
    first, last = analysis.epochs[0], analysis.epochs[-1]
    if len(analysis.epochs) > 1:
        yield from _separation(first, last)
    yield from _memorization(last)
    yield from _head(last.val, last.epoch, advice)
    for each in analysis.epochs:
        if each.variance is None:
            yield f"After epoch {each.epoch} the features of all images are identical: there is no map."
    if last.variance is not None and last.variance < LOW_VARIANCE:
        yield (
            f"PCA explains {last.variance:.0%} of the variance of epoch {last.epoch}: classes that overlap on the map"
            " may be separate in the features."
        )
    if analysis.scaling is not None:
        yield from _scaling(analysis.scaling)


def _separation(first: EpochAnalysis, last: EpochAnalysis) -> Iterator[str]:
    """Whether kNN accuracy changed by more than both intervals."""
    one, two = first.val.knn, last.val.knn
    if one is None or two is None:
        return
    if two.low > one.high:
        change = "rose"
    elif two.high < one.low:
        change = "fell"
    else:
        return
    yield (
        f"kNN accuracy {change} from {100 * one.value:.1f} % (epoch {first.epoch}) to {100 * two.value:.1f} %"
        f" (epoch {last.epoch})."
    )


def _memorization(last: EpochAnalysis) -> Iterator[str]:
    if last.train is None or last.train.knn is None or last.val.knn is None:
        return
    if last.train.knn.low - last.val.knn.high > GAP:
        yield (
            f"The features of epoch {last.epoch} are over-fitted: kNN accuracy is {last.train.knn.value:.1%} on"
            f" training images, {last.val.knn.value:.1%} on validation images."
        )


def _head(val: EpochMetrics, epoch: int, advice: Advice | None) -> Iterator[str]:
    if val.knn is not None and val.accuracy is not None and val.knn.low > val.accuracy.high:
        helps = "A" if advice == "fewer" else "Training the head longer or with a"
        yield (
            f"The features of epoch {epoch} are better than the head: kNN accuracy is {val.knn.value:.1%}, the head's"
            f" {val.accuracy.value:.1%}. {helps} higher learning rate may help."
        )


def _scaling(scaling: Scaling) -> Iterator[str]:
    before, after = scaling.ece_before.value, scaling.ece_after.value
    if before - after > ECE_CHANGE:
        how = "over-confident" if scaling.temperature > 1 else "under-confident"
        yield (
            f"The network is {how}: a temperature of {scaling.temperature:.2f}, fitted on half of the validation"
            f" images, changes the calibration error on the other {scaling.images} from {before:.1%} to {after:.1%}."
        )
    elif before - after < -ECE_CHANGE:
        yield (
            f"Temperature scaling does not help: a temperature of {scaling.temperature:.2f}, fitted on half of the"
            f" validation images, raises the calibration error on the other {scaling.images} from {before:.1%} to"
            f" {after:.1%}."
        )
