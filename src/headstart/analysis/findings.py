"""What the figures of a run say, in words. A finding is a function of numbers, and appears only when it is so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from headstart.analysis.feature_analysis import EpochAnalysis, EpochMetrics, FeatureAnalysis, Scaling
from headstart.files import Row
from headstart.metrics.collapse import diagnose
from headstart.runs.folder import best_epoch

GAP = 0.1
"""Training accuracy above validation accuracy by more than this is overfitting."""
ECE_RISE = 0.02
"""A calibration error that grows by more than this is over-confidence growing."""
LITTLE = 0.5
"""A PCA map that shows less than this share of the variance hides more than it shows."""
WORTH_SCALING = 0.01
"""A temperature that lowers the calibration error by more than this is worth its while."""


def findings(rows: Sequence[Row], kept: str, learned: FeatureAnalysis | None = None) -> list[str]:
    """Sentences on a run: ``rows`` are its `metrics.csv`, ``kept`` its `checkpoint.monitor`."""
    health = diagnose(rows)
    return [
        *([f"{health.sentence} {health.fix}".strip()] if health is not None else ()),
        *of_curves(rows, kept, learned),
        *(of_features(learned) if learned is not None else ()),
    ]


def of_curves(rows: Sequence[Row], kept: str, learned: FeatureAnalysis | None = None) -> Iterator[str]:
    """What loss, accuracy, calibration error and learning rate say over the epochs."""
    by_loss, by_accuracy = best_epoch(rows, "loss"), best_epoch(rows, "accuracy")
    if by_loss is None or by_accuracy is None:
        return
    train, val = ({row["epoch"]: row for row in rows if row["split"] == split} for split in ("train", "val"))
    if train[0].get("lr") == 0:
        yield (
            f"The first epoch learned nothing: its learning rate was 0 (validation accuracy"
            f" {val[0]['accuracy']:.2%}, loss {val[0]['loss']:.4f})."
        )
    if by_loss != by_accuracy:
        yield (
            f"Best by loss is epoch {by_loss + 1} ({val[by_loss]['accuracy']:.2%}), best by accuracy is epoch"
            f" {by_accuracy + 1} ({val[by_accuracy]['accuracy']:.2%}); the weights of epoch"
            f" {(by_loss if kept == 'val_loss' else by_accuracy) + 1} were kept (checkpoint.monitor = {kept})."
        )
    if by_loss < by_accuracy:
        yield from _over_confident(val[by_loss], val[by_accuracy], learned)
    last = max(val)
    gap = train[last]["accuracy"] - val[last]["accuracy"]
    if gap > GAP:
        yield (
            f"In the last epoch training accuracy is {gap:.1%} above validation accuracy: the network knows its"
            " training images better than new ones. More images, stronger views, or fewer epochs would help."
        )
    if by_loss == last >= 2:
        yield "The validation loss was still falling in the last epoch: more epochs may help."


def _over_confident(at_loss: Row, at_accuracy: Row, learned: FeatureAnalysis | None) -> Iterator[str]:
    """Between the lowest loss and the highest accuracy: is it confidence that went wrong, or the features?"""
    if at_accuracy.get("ece", 0) - at_loss.get("ece", 0) <= ECE_RISE:
        return
    said = (
        f"Validation loss was lowest at epoch {at_loss['epoch'] + 1}, accuracy highest at epoch"
        f" {at_accuracy['epoch'] + 1}: from there the model grows over-confident (calibration error"
        f" {at_loss['ece']:.2f} to {at_accuracy['ece']:.2f})"
    )
    looked = learned.epochs if learned is not None else ()
    before = [each for each in looked if each.epoch <= at_loss["epoch"] + 1]
    after = [each for each in looked if each.epoch > at_loss["epoch"] + 1]
    if before and after and before[-1].val.knn and after[-1].val.knn:
        one, two = before[-1].val.knn.value, after[-1].val.knn.value
        how = "while the classes still separate better" if two > one else "and the classes separate no better"
        said += f", {how} (kNN accuracy {one:.1%} at epoch {before[-1].epoch}, {two:.1%} at epoch {after[-1].epoch})"
    yield said + "."


def of_features(learned: FeatureAnalysis) -> Iterator[str]:
    """What the features say, from the first epoch looked at to the last."""
    first, last = learned.epochs[0], learned.epochs[-1]
    if len(learned.epochs) > 1:
        yield from _separation(first, last)
    yield from _memory(last)
    yield from _head(last.val, last.epoch)
    for each in learned.epochs:
        if each.variance is None:
            yield f"After epoch {each.epoch} the features of all images are the same: there is nothing to map."
    if last.variance is not None and last.variance < LITTLE:
        yield (
            f"PCA shows {last.variance:.0%} of the variance of epoch {last.epoch}: classes that overlap there need"
            " not overlap."
        )
    if learned.scaling is not None:
        yield from _scaling(learned.scaling)


def _separation(first: EpochAnalysis, last: EpochAnalysis) -> Iterator[str]:
    """Whether the nearest neighbors became more often of one class, beyond both intervals."""
    one, two = first.val.knn, last.val.knn
    if one is None or two is None:
        return
    if two.low > one.high:
        word = "The classes came apart"
    elif two.high < one.low:
        word = "The classes ran together"
    else:
        return
    yield (
        f"{word} between epoch {first.epoch} and epoch {last.epoch}: by its nearest training images alone a"
        f" validation image is told right in {one.value:.1%} and then in {two.value:.1%} of the cases (kNN)."
    )


def _memory(last: EpochAnalysis) -> Iterator[str]:
    if last.train is None or last.train.knn is None or last.val.knn is None:
        return
    if last.train.knn.low - last.val.knn.high > GAP:
        yield (
            f"The features of epoch {last.epoch} know the training images: their neighbors are right in"
            f" {last.train.knn.value:.1%} of the cases, those of validation images in {last.val.knn.value:.1%}."
        )


def _head(val: EpochMetrics, epoch: int) -> Iterator[str]:
    if val.knn is not None and val.accuracy is not None and val.knn.low > val.accuracy.high:
        yield (
            f"The features of epoch {epoch} are better than the answers: neighbors are right in"
            f" {val.knn.value:.1%} of the cases, the network in {val.accuracy.value:.1%}. A longer or faster"
            " training of the head may help."
        )


def _scaling(scaling: Scaling) -> Iterator[str]:
    before, after = scaling.ece_before.value, scaling.ece_after.value
    if before - after > WORTH_SCALING:
        how = "too sure of itself" if scaling.temperature > 1 else "too modest"
        yield (
            f"The network is {how}: dividing its logits by a temperature of {scaling.temperature:.2f}, fitted on half"
            f" of the validation images, takes the calibration error on the other {scaling.images} from {before:.1%} to"
            f" {after:.1%}."
        )
    elif before - after < -WORTH_SCALING:
        yield (
            f"No temperature mends its confidence: the one fitted on half of the validation images"
            f" ({scaling.temperature:.2f}) takes the calibration error on the other {scaling.images} from {before:.1%}"
            f" to {after:.1%}."
        )
