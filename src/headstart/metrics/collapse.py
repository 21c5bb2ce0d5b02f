"""Is a training without labels healthy? Its loss alone cannot say: it falls in sickness too, and then fastest.

The thresholds lie between what was measured (ResNet-10 at 32 px, 300 photographs, after ten to fifteen epochs):

    run                                    loss    spread    likeness
    views of byol-quick                    1.77      0.87        0.37
    the report's views                     1.36      0.88        0.60
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

COLLAPSED = 0.1
"""Spread below which all images are one point."""
AGREED = 0.5
"""Loss (0 to 8) below which the networks agree. A collapse is agreement; before the first hundred steps, spread is
low too, because the running statistics of batch normalization are not yet those of the images, but the loss is high."""
TRIVIAL = 0.98
"""Likeness above which the two views are one: it is 1 without augmentation, from the first epoch on."""

Kind = Literal["healthy", "collapsed", "trivial", "unclear"]


@dataclass(frozen=True)
class Diagnosis:
    """What the last validated epoch says of a training without labels."""

    kind: Kind
    sentence: str
    """What was found, with its numbers."""
    fix: str
    """What to change; empty where nothing is wrong."""


def diagnose(rows: Sequence[Row]) -> Diagnosis | None:
    """Of `metrics.csv`; None where its rows have no spread: before the first epoch ends, and of tasks with labels."""
    row = next((row for row in reversed(rows) if row["split"] == "val" and "feature_std" in row), None)
    if row is None:
        return None
    loss, spread, likeness = row["loss"], row["feature_std"], row["view_similarity"]
    at = f"epoch {row['epoch'] + 1}, loss {loss:.4f}"
    if spread < COLLAPSED and loss < AGREED:
        return Diagnosis(
            "collapsed",
            f"Collapsed: the network gives nearly the same output for every image (spread {spread:.3f}, healthy is"
            f" near 1; {at}).",
            "Lower optimizer.lr, raise train.batch_size, or raise byol.ema_decay (0.99 or more).",
        )
    if likeness > TRIVIAL:
        return Diagnosis(
            "trivial",
            f"Trivial: the two views of an image are nearly equal (likeness {likeness:.3f} of 1; {at}), so there is"
            " nothing to learn from them, and the loss falls to nothing.",
            "Strengthen the views, crops first: augment.crop=0.2 augment.jitter=0.8 augment.brightness=0.4"
            " augment.contrast=0.4 augment.grayscale=0.2.",
        )
    if spread < COLLAPSED:
        return Diagnosis(
            "unclear",
            f"Too early to tell: outputs lie close together (spread {spread:.3f}) and do not agree yet ({at}).",
            "If it stays so, lower optimizer.lr.",
        )
    known = f", and neighbors are of the right class in {row['knn']:.1%} of the cases" if "knn" in row else ""
    return Diagnosis(
        "healthy",
        f"Healthy: images lie apart (spread {spread:.2f}) and the views of one differ (likeness {likeness:.2f};"
        f" {at}){known}.",
        "",
    )
