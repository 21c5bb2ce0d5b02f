"""The metric of a study: accuracy, or mean IoU for segmentation; its names in tables and sentences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

MetricName = Literal["accuracy", "miou"]


@dataclass(frozen=True)
class Metric:
    """A share from 0 to 1 that the settings of a study are compared by."""

    name: MetricName
    """In column names of files."""
    title: str
    """In sentences, table headings and on axes."""
    part: str
    """What is trained on top of a frozen backbone: 'head' or 'decoder'."""

    @property
    def heading(self) -> str:
        return self.title[0].upper() + self.title[1:]


METRICS: Mapping[MetricName, Metric] = {
    "accuracy": Metric(name="accuracy", title="accuracy", part="head"),
    "miou": Metric(name="miou", title="mean IoU", part="decoder"),
}
