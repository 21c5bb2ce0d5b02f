"""`labels-to-check.csv`: the labels that `headstart labels` takes for wrong, the most suspicious first.

labels-to-check.csv    for the user, to sort and tick off: filename, split, label, predicted, times_as_probable
labels-to-check.json   the same for the page, and what was looked at (`LabelCheck`)
labels-to-check.zip    thumbnails of the first rows (`headstart.runs.thumbnails`)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from headstart.errors import quoted
from headstart.files import table
from headstart.runs.facts import Count, Text
from headstart.runs.folder import RunFolder
from headstart.runs.thumbnails import write_thumbnails

NAME, FACTS, PICTURES = "labels-to-check.csv", "labels-to-check.json", "labels-to-check.zip"
COLUMNS = ("filename", "split", "label", "predicted", "times_as_probable")


@dataclass(frozen=True)
class LabelToCheck:
    """An image whose label may be wrong."""

    filename: str
    split: str
    label: str
    predicted: str
    """The most probable other class."""
    times_as_probable: float
    """Probability of that class over that of the label."""


@dataclass(frozen=True)
class LabelCheck:
    """What `headstart labels` looked at, and found."""

    images: int
    """Labeled images that were judged."""
    unjudged: int
    """Images of classes with too few to judge."""
    agreement: float
    """Share of the judged labels that a probe, which has not seen the image, predicts."""
    backbone: str
    """Network and weights of the features."""
    rows: tuple[LabelToCheck, ...]
    """The labels to check, the most suspicious first."""


class _Row(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    filename: Text
    split: Text
    label: Text
    predicted: Text
    times_as_probable: float


class _Facts(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")

    images: Count
    unjudged: Count
    agreement: float
    backbone: Text
    rows: list[_Row]


def write_label_check(run: RunFolder, check: LabelCheck, pictures: Iterable[NDArray[np.uint8]]) -> None:
    """Write a check, and thumbnails of its first rows from ``pictures``, uint8 (H, W, 3) each."""
    write_thumbnails(run, pictures, name=PICTURES)
    rows = [asdict(row) for row in check.rows]
    run.write(NAME, table([row | {"times_as_probable": f"{row['times_as_probable']:.4g}"} for row in rows], COLUMNS))
    run.write_json(FACTS, {**asdict(replace(check, rows=())), "rows": rows})


def read_label_check(run: RunFolder) -> LabelCheck | None:
    """The latest check; None without one. Raises HeadstartError for a damaged file."""
    found = run.facts(FACTS, _Facts, f"headstart labels {quoted(run.path)}", optional=True)
    if found is None:
        return None
    names = ("images", "unjudged", "agreement", "backbone")
    return LabelCheck(**{name: found[name] for name in names}, rows=tuple(LabelToCheck(**row) for row in found["rows"]))
