"""What a run's own numbers say of where its result must not be trusted, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from headstart.metrics.bootstrap import Interval
from headstart.metrics.written import score
from headstart.runs.folder import RunFolder

FEW_IMAGES = 100
"""Validation images below which a run says that they are few."""
FEW_TRAINED = 10
"""Training images of a class below which a run names it."""
MOST_NAMED = 20
"""Classes that a sentence names at the most."""


def limits(run: RunFolder) -> list[str]:
    """Validation images that the weights have seen, few of them, classes without any or with few training images."""
    data, said = run.data, []
    images, counts = data.get("images", {}).get("val", 0), data.get("counts", {})
    if 0 < images < FEW_IMAGES:
        said.append(f"{images} validation images are few: the interval is wide.")
    seen = data.get("val_seen_by_weights", 0)
    if seen:
        said.append(
            f"{seen:,} of {images:,} validation images are among those that the weights it started from were trained"
            " on: the score is too high."
        )
    absent = [name for name in run.classes if counts.get("val") and not counts["val"].get(name)]
    if absent:
        said.append(f"Not validated, for lack of images: {_listed(absent)}.")
    few = [name for name in run.classes if counts.get("train") and counts["train"].get(name, 0) < FEW_TRAINED]
    if few:
        said.append(f"Trained on fewer than ten images: {_listed(few)}.")
    return said


def beside_guessing(found: Interval, baseline: float) -> list[str]:
    """That a score is not significantly above always predicting the most frequent class; empty where it is."""
    if found.low > baseline:
        return []
    return [
        f"Not significantly above always predicting the most frequent class ({score(baseline)}): that anything was"
        " learned is not shown."
    ]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED:,} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
