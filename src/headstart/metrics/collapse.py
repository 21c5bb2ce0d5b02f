"""Collapse diagnosis for self-supervised training. The loss alone cannot tell: it falls fastest in a collapse.

The thresholds separate these measurements (ResNet-10 at 32 px, 300 photographs, after ten to fifteen epochs):

    run                                    loss  feature std  view similarity
    augmentation of byol-quick             1.77      0.87        0.37
    the report's augmentation              1.36      0.88        0.60
    flips alone                            0.35      0.89        0.95
    no augmentation                        0.34      0.90        1.00
    no predictor, no moving average        0.01      0.06        0.35
    learning rate 1                        1.38      0.12        0.35
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from headstart.files import Row

MIN_FEATURE_STD = 0.1
"""Feature std below which the features of all images coincide."""
MAX_COLLAPSED_LOSS = 0.5
"""Loss (0 to 8) below which the networks agree. A collapse is agreement; in the first hundred steps the feature std is
low too, because batch normalization's running statistics lag behind, but the loss is high."""
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
    if std < MIN_FEATURE_STD and loss < MAX_COLLAPSED_LOSS:
        return Diagnosis(
            "collapsed",
            f"Collapsed: the network gives nearly the same output for every image (feature std {std:.3f}, healthy is"
            f" near 1; {at}).",
            "Lower optimizer.lr, raise train.batch_size, or raise byol.ema_decay (0.99 or more).",
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
            f"Too early to tell: feature std is low ({std:.3f}), but the loss is not ({at}).",
            "If it stays so, lower optimizer.lr.",
        )
    known = f", kNN accuracy {row['knn']:.1%}" if "knn" in row else ""
    return Diagnosis(
        "healthy",
        f"Healthy: no collapse (feature std {std:.2f}, view similarity {similarity:.2f}; {at}){known}.",
        "",
    )
