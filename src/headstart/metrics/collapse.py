"""Collapse diagnosis for self-supervised training, the same for every method.

The loss alone cannot tell: it falls fastest in a collapse, and each method has a scale of its own. The thresholds
separate these measurements (BYOL, ResNet-10 at 32 px, 300 photographs, after ten to fifteen epochs):

    run                                    loss  feature std  view similarity
    augmentation of byol-quick             1.77      0.87        0.37
    the report's augmentation              1.36      0.88        0.60
    flips alone                            0.35      0.89        0.95
    no augmentation                        0.34      0.90        1.00
    no predictor, no moving average        0.01      0.06        0.35
    learning rate 1                        1.38      0.12        0.35

The feature std of the validation images alone cannot tell either: in the first hundred steps it is low in good health,
because batch normalization's running statistics lag behind. That of the training batches, which have statistics of
their own, is low in a collapse alone (60 photographs, batches of 12):

    run                                    epoch  feature std: training, validation
    BYOL, VICReg, FastSiam, EMP-SSL            1  0.77, 0.78, 1.00, 0.71        0.28, 0.23, 0.23, 0.10
    the same                                6-10  0.80, 0.81, 0.99, 0.33        0.73, 0.75, 0.90, 0.31
    BYOL without predictor and average        21  0.06                          0.07
    EMP-SSL without coding rate               21  0.05                          0.07
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from headstart.files import Row

MIN_FEATURE_STD = 0.1
"""Feature std below which the features of all images coincide."""
MAX_COLLAPSED_LOSS = 0.5
"""Loss of BYOL (0 to 8) below which its networks agree, for runs from before the feature std of training was stored."""
MAX_VIEW_SIMILARITY = 0.98
"""View similarity above which the two views are equal: it is 1 without augmentation, from the first epoch on."""

Kind = Literal["healthy", "collapsed", "trivial", "unclear"]


@dataclass(frozen=True)
class Diagnosis:
    """Diagnosis of self-supervised training at the last validated epoch."""

    kind: Kind
    sentence: str
    """The diagnosis with its numbers."""
    fix: str
    """What to change; empty if healthy."""


def diagnose(rows: Sequence[Row]) -> Diagnosis | None:
    """Diagnose from the rows of `metrics.csv`; None before the first epoch ends, and for tasks with labels."""
    row = next((row for row in reversed(rows) if row["split"] == "val" and "feature_std" in row), None)
    if row is None:
        return None
    loss, std, similarity = row["loss"], row["feature_std"], row["view_similarity"]
    at = f"epoch {row['epoch'] + 1}, loss {loss:.4f}"
    training = next((each for each in rows if each["split"] == "train" and each["epoch"] == row["epoch"]), {})
    in_training = training.get("feature_std")
    agree = loss < MAX_COLLAPSED_LOSS if in_training is None else in_training < MIN_FEATURE_STD
    if std < MIN_FEATURE_STD and agree:
        return Diagnosis(
            "collapsed",
            f"Collapsed: the network gives nearly the same output for every image (feature std {std:.3f}, healthy is"
            f" near 1; {at}).",
            "Lower optimizer.lr or raise train.batch_size; with BYOL, raise byol.ema_decay (0.99 or more).",
        )
    if similarity > MAX_VIEW_SIMILARITY:
        return Diagnosis(
            "trivial",
            f"Trivial: the two views of an image are nearly equal (view similarity {similarity:.3f} of 1; {at}), so"
            " there is nothing to learn from them.",
            "Strengthen the augmentation, crops first: augment.crop=0.2 augment.jitter=0.8 augment.brightness=0.4"
            " augment.contrast=0.4 augment.grayscale=0.2.",
        )
    if std < MIN_FEATURE_STD:
        return Diagnosis(
            "unclear",
            f"Too early to tell: feature std is low ({std:.3f}), but "
            + (f"the loss is not ({at})." if in_training is None else f"not in training ({in_training:.2f}; {at})."),
            "If it stays so, lower optimizer.lr.",
        )
    known = f", kNN accuracy {row['knn']:.1%}" if "knn" in row else ""
    return Diagnosis(
        "healthy",
        f"Healthy: no collapse (feature std {std:.2f}, view similarity {similarity:.2f}; {at}){known}.",
        "",
    )
