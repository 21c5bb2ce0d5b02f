"""What the settings of a study are compared by, and the words for it: accuracy, or mean IoU where there are masks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

MetricName = Literal["accuracy", "miou"]


@dataclass(frozen=True)
class Metric:
    """A share from 0 to 1, and how tables and sentences speak of it."""

    name: MetricName
    """In the heads of files' columns."""
    title: str
    """In headings and on axes."""
    is_best: str
    """After 'training from scratch is best with all labels: ', with the share."""
    alike: str
    """Of two settings that have the same."""
    guess: str
    """What takes no network."""
    guess_short: str
    part: str
    """What is put on the backbone, and trained when it is frozen."""

    @property
    def heading(self) -> str:
        return self.title[0].upper() + self.title[1:]


METRICS: Mapping[MetricName, Metric] = {
    "accuracy": Metric(
        name="accuracy",
        title="accuracy",
        is_best="{} are right",
        alike="they are right equally often",
        guess="always answering the commonest class",
        guess_short="commonest class always",
        part="head",
    ),
    "miou": Metric(
        name="miou",
        title="mean IoU",
        is_best="a mean IoU of {}",
        alike="their mean IoU is the same",
        guess="painting everything with the commonest class",
        guess_short="commonest class everywhere",
        part="decoder",
    ),
}
