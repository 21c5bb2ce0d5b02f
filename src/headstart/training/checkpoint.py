"""Checkpoint of an unfinished run: what `resume` needs to end at the same weights as an uninterrupted run."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from headstart.errors import HeadstartError
from headstart.files import Row
from headstart.runs.folder import RunFolder


@dataclass
class Progress:
    """Progress of a training."""

    epoch: int = 0
    """The epoch under way, from 0; the number of epochs when all are done."""
    step: int = 0
    """Steps done in that epoch."""
    seconds: float = 0.0
    """Spent on the training steps of that epoch."""
    best: float | None = None
    """The best value so far of `checkpoint.monitor`."""
    rows: list[Row] = field(default_factory=list)
    """Rows of `metrics.csv`: one per finished epoch and split."""


def save_checkpoint(run: RunFolder, progress: Progress, state: Mapping[str, Any]) -> None:
    """Write ``state`` (of tensors and plain values) and ``progress`` to the run's checkpoint, in one atomic file."""
    content = io.BytesIO()  # not straight to the file: torch hides the error of a full disk in one of its own
    torch.save({**state, "progress": asdict(progress)}, content)
    run.write(run.checkpoint.relative_to(run.path).as_posix(), content.getbuffer())


def load_checkpoint(run: RunFolder) -> tuple[Progress, dict[str, Any]]:
    """Read what `save_checkpoint` wrote. Raises HeadstartError for a damaged file, or one that holds more than data."""
    hint = f"copy the run again, or start a new run from the weights so far: backbone.weights={run.path}"
    run.has(run.checkpoint.relative_to(run.path).as_posix(), hint)
    try:
        content = torch.load(run.checkpoint, map_location="cpu", weights_only=True)
        return Progress(**content.pop("progress")), content
    except Exception as error:  # torch names no single type for a damaged file
        raise HeadstartError(
            f"{run.checkpoint}: expected a checkpoint of headstart, found a damaged file ({type(error).__name__})",
            hint,
        ) from None
