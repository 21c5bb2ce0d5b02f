"""Findings over the epochs, the same for every task: the best epochs, over-fitting, and more or fewer epochs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from headstart.files import Row
from headstart.runs.tables import best_epoch

GAP = 0.1
"""A training score above the validation score by more than this is over-fitting."""
ENOUGH_EPOCHS = 3
"""In fewer epochs than these, that the last is the best says little."""

Advice = Literal["more", "fewer"]
"""Whether training for more or for fewer epochs may help."""


class Score(NamedTuple):
    """A task's score beside the loss: the higher, the better."""

    column: str
    """Its column in `metrics.csv`."""
    name: str
    """What it is called in a sentence."""
    train: str
    """What the training score is measured on, in a sentence."""


ACCURACY = Score("accuracy", "accuracy", "training images")
MEAN_IOU = Score("miou", "mean IoU", "training windows")


def epochs_advice(rows: Sequence[Row], monitor: str, score: Score) -> Advice | None:
    """The one rule for the number of epochs: by the metric that chooses the checkpoint, the loss where none does.

    More, if its best epoch is the last of three or more; fewer, if an earlier epoch is the best and the training score
    of the last is above the validation score by more than `GAP`; else None. So no run is told both.
    """
    best, gap = best_epoch(rows, _deciding(monitor)), score_gap(rows, score)
    last = best_epoch(rows, "last")
    if best is None or last is None:
        return None
    if best == last:
        return "more" if last + 1 >= ENOUGH_EPOCHS else None
    return "fewer" if gap is not None and gap > GAP else None


def score_gap(rows: Sequence[Row], score: Score) -> float | None:
    """Training score minus validation score in the last epoch, as a fraction; None without both."""
    last = best_epoch(rows, "last")
    found = {row["split"]: row[score.column] for row in rows if row["epoch"] == last and score.column in row}
    return found["train"] - found["val"] if found.keys() >= {"train", "val"} else None


def of_epochs(rows: Sequence[Row], monitor: str, score: Score) -> Iterator[str]:
    """Findings from loss and score over the epochs."""
    by_loss, by_score = best_epoch(rows, "loss"), best_epoch(rows, score.column)
    chosen, advice = best_epoch(rows, monitor), epochs_advice(rows, monitor, score)
    if by_loss is None or by_score is None or chosen is None:
        return
    val = {row["epoch"]: row[score.column] for row in rows if row["split"] == "val"}
    if by_loss != by_score:
        yield (
            f"The best epoch by loss is {by_loss + 1} ({score.name} {val[by_loss]:.2%}), by {score.name}"
            f" {by_score + 1} ({val[by_score]:.2%}); the checkpoint is that of epoch {chosen + 1}"
            f" (checkpoint.monitor = {monitor})."
        )
    gap = score_gap(rows, score)
    if gap is not None and gap > GAP:
        fewer = ", stronger augmentation or fewer epochs" if advice == "fewer" else " or stronger augmentation"
        yield (
            f"Over-fitting: in the last epoch {score.name} on the {score.train} is {100 * gap:.1f} points above that"
            f" on the validation images. More images{fewer} may help."
        )
    if advice == "more":
        loss = _deciding(monitor) == "val_loss"
        said = "The validation loss was still falling" if loss else f"Validation {score.name} was highest"
        yield f"{said} in the last epoch: more epochs may help."


def _deciding(monitor: str) -> str:
    return "val_loss" if monitor == "last" else monitor
